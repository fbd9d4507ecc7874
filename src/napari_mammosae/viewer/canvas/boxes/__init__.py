"""Boxes drawn over the mammogram: as shapes to edit, or as plain lines."""
