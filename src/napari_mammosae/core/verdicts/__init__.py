"""What reviewers decided about latents: an append-only file, its current state, exchange and agreement."""
