"""What leads a new user through the demo: the picture it opens on, and the steps from there."""
