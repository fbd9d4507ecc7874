"""A loaded model as the viewer works with it, wherever it computes: the interface, and the model in this process."""
