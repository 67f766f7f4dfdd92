"""Merge strategies."""
