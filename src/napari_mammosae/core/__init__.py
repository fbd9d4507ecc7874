"""The science, without a window: what a mammogram, a latent, a run, a ranking, a box, an edit and a verdict are."""
