"""TIFA."""
