"""What people wrote about images: boxes of findings, and labels."""
