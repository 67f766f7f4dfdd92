"""Recipes and options: layers, origins of values, binding to options classes."""

from selma_core.config.binding import bind_options
from selma_core.config.canonical import expanded_options
from selma_core.config.layers import Layers, merge
from selma_core.config.problems import config_error, layer_of, raise_all

__all__ = ["Layers", "bind_options", "config_error", "expanded_options", "layer_of", "merge", "raise_all"]
