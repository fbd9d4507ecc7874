"""The napari side: one package a feature, over what one viewer has (`app`) and how it looks (`canvas`)."""
