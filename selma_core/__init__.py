"""SELMA core: kinds of plugin, recipes, stages, artifacts. It knows no model and no method."""

from selma_core.hookspecs import hookimpl

__all__ = ["hookimpl"]
