"""The mammogram, the model, and the latents of the one over the other."""
