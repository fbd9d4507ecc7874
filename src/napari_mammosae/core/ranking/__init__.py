"""Which latents tell a finding: scores of every latent over a data set, their order, and how two orders compare."""
