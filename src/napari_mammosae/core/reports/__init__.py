"""What leaves the program for people to read: figures, tables of the paper, the inspection of one image."""
