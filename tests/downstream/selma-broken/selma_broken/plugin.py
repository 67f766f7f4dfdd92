"""Imports something that a release of another package took away, as plugins do in the wild."""

from selma_core.records import MergeStrategiesRecord  # noqa: F401  (there is no such name)
