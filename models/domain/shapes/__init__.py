"""What a decoder is made of, layer by layer, counted without its weights."""
