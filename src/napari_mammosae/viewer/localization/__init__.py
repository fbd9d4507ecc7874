"""Heatmaps to boxes in the viewer, and their measures."""
