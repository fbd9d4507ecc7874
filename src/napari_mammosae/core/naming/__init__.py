"""What latents stand for: labels, texts and names, each with its score."""
