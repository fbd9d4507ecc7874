"""The images that excite a latent most, as pictures."""
