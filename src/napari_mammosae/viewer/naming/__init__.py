"""What latents stand for: measured over the open run, and shown for the current one."""
