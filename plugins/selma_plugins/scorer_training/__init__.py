"""Training of CLIP-like scorers from pairs of pictures."""
