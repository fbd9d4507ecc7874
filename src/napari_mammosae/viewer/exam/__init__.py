"""A patient's images together on the canvas, one latent over all of them."""
