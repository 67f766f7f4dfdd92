"""Merges as other tools compute them, faults included: to reproduce their numbers, not to be compared in scale."""
