"""All latents in a table, their ranking, and the page of one latent."""
