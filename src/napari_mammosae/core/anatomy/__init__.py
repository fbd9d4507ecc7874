"""Regions of the picture that need no model: breast, skin, muscle, border, marker, and regions drawn by hand."""
