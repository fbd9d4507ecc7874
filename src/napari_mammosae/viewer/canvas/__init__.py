"""How the session looks: layers, stack, boxes, texts, colours, camera."""
