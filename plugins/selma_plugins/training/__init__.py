"""Adapter trainers."""
