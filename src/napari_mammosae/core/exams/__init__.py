"""A patient's images together: exams of a run, how their views hang, and what a latent says across them."""
