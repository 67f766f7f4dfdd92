"""The artifact store: complete, content-addressed folders with a manifest each."""

from selma_core.store.manifest import Manifest
from selma_core.store.store import Store, default_store

__all__ = ["Manifest", "Store", "default_store"]
