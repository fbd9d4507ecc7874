"""Published data sets, recognised by the layout of their folders."""
