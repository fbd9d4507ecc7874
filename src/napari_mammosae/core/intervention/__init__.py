"""Keep, zero, scale or set latents, and what the classifier then says: exactly, for one image and for a run."""
