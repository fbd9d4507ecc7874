"""Names and heads from text: a vocabulary, its terms' scores for a latent, and a sentence as a classifier."""
