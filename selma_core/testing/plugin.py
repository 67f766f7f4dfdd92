"""The pytest plugin that `pip install selma` registers; light, so that pytest elsewhere pays nothing."""

from __future__ import annotations
