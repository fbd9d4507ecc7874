"""The parts of the *Model & image* dock."""
