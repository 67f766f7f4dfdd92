"""Scores of models that learnt what people prefer, and of CLIP-like models; each is a reward too."""
