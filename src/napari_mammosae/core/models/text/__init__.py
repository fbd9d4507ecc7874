"""The text side of a model: words to tokens, tokens to a vector, and the space it shares with images."""
