"""Recipes and options: layers, origins of values, binding to options classes."""

from selma_core.config.binding import bind_options
from selma_core.config.canonical import expanded_options
from selma_core.config.layers import Layers, merge
from selma_core.config.opening import Opened, inspect_recipe, open_recipe
from selma_core.config.problems import config_error, layer_of, raise_all
from selma_core.config.recipe import Recipe, load_recipe

__all__ = [
    "Layers",
    "Opened",
    "Recipe",
    "bind_options",
    "config_error",
    "expanded_options",
    "inspect_recipe",
    "layer_of",
    "load_recipe",
    "merge",
    "open_recipe",
    "raise_all",
]
