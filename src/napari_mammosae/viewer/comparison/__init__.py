"""Two models in the viewer."""
