"""Synthetic phantom mammograms with known truth: a small world to train, demonstrate and test on."""
