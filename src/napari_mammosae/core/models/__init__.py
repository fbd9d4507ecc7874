"""A mammography classifier with its sparse autoencoder: files, weights, latents of an image."""
