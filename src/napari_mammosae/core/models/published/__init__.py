"""Published models: which there are, and how their files come to this machine, from the hub or from a disk."""
