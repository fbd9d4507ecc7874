"""Two models under one autoencoder: over the same images, or as two runs."""
