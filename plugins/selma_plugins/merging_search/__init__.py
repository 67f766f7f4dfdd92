"""Merge weights found by a search on held-out prompts."""
