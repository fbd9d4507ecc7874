"""Files of weights: what kind they are, read safely, their names looked up."""
