"""Sessions: what a viewer looks at as a file, and back again."""
