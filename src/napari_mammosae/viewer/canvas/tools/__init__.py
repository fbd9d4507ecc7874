"""What a reader's hands do on the canvas: window and level, magnify, measure."""
