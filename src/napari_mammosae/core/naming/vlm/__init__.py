"""Names from a vision-language model on a server, and how well they hold on patients it has not seen."""
