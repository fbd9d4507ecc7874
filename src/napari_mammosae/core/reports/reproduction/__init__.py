"""The tables and figures of the Mammo-SAE paper, made again and set beside the published values."""
