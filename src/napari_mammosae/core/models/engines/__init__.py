"""What computes features instead of PyTorch."""
