"""Switching latents off in the viewer, and what the prediction does."""
