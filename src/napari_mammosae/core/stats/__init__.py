"""Measures of a classification, and their intervals by patient."""
