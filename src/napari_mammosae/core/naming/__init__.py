"""What a latent means: how well it stands for a label or a text, measured against chance."""
