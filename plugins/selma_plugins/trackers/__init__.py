"""Trackers: the events of a run in MLflow and in Weights & Biases."""
