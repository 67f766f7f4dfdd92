"""Models (and other big files) of the registry: where they come from, where they are kept, what they are pinned to."""

from selma_core.models.cache import cache_root
from selma_core.models.digest import folder_digest
from selma_core.models.family import detect_family
from selma_core.models.fetch import fetch_entry
from selma_core.models.resolve import direct_model, resolve_sources
from selma_core.models.safetensors_check import check_safetensors
from selma_core.models.sources import Source, parse_sources

__all__ = [
    "Source",
    "cache_root",
    "check_safetensors",
    "detect_family",
    "direct_model",
    "fetch_entry",
    "folder_digest",
    "parse_sources",
    "resolve_sources",
]
