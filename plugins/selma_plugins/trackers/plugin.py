"""Registers the trackers."""

from __future__ import annotations
