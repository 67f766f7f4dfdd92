"""Prompt sources: expansion by a language model, files, a world's grammar, benchmarks."""
