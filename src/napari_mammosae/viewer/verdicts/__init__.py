"""Giving verdicts on latents."""
