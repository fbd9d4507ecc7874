"""Training a sparse autoencoder on a backbone's features."""
