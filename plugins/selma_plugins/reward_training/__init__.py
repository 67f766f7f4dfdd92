"""Training on rewards: gradients through the drawing of pictures."""
