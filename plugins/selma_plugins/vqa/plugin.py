"""Evaluators on questions and probabilities."""
