"""A run in the viewer: open it, make it, go through its images."""
