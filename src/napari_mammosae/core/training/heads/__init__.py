"""Training linear heads on the pooled channels of a run."""
