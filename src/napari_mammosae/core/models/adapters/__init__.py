"""Backbones of any kind behind one protocol: what each is built from, and whether its head is a mean of the cells."""
