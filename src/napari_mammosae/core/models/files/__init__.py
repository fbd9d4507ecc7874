"""Files beside a model: `model.toml`, its facts, trained heads, the table of latents found again."""
