"""A recipe: its file, what it extends, and the layers above it, resolved to one plain mapping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from selma_core.config.layers import Layers
from selma_core.config.overrides import read_overrides
from selma_core.config.problems import raise_all, split
from selma_core.config.validate import Shape, check_shape
from selma_core.errors import ConfigError, UnknownNameError
from selma_core.registry import Registry
from selma_core.yaml_files import Document, read_yaml


@attrs.frozen(kw_only=True)
class Recipe:
    """A resolved recipe.

    Attributes:
        name: of the registry entry, or the file's stem. path: its file.
        data: plain values with `extends`, variant and overrides applied: the keys summary, seed, axes, stages, plugins,
            runtime, report are always there. `stages` may hold node refinements (`expert[count]`) beside its labels.
        origins: dotted path of every value -> the layer that set it (`recipe x (x.yaml:7)`, `the command line`).
    """

    name: str
    path: Path | None
    data: dict[str, Any]
    origins: dict[str, str]


def load_recipe(
    name_or_path: str | Path,
    overrides: Sequence[str] = (),
    *,
    registry: Registry,
    variant: Mapping[str, Any] | None = None,
) -> Recipe:
    """Loads a recipe by registry name or file, with everything it extends.

    Args:
        overrides: `a.b=value`, the highest layer.
        variant: an ablation's layer, below the overrides: a nested mapping, or dotted path -> value
            (`{"stages.merge.use": "ties"}`), or both.

    Raises:
        UnknownNameError: no such recipe. ConfigError: an unreadable file, a cycle of `extends`.
        ConfigErrors: everything that is wrong with the overrides and the recipe's shape, at once.
    """
    recipe, shape = read_recipe(name_or_path, overrides, registry=registry, variant=variant)
    raise_all(shape.errors)
    return recipe


def read_recipe(
    name_or_path: str | Path,
    overrides: Sequence[str] = (),
    *,
    registry: Registry,
    variant: Mapping[str, Any] | None = None,
) -> tuple[Recipe, Shape]:
    """As `load_recipe`, but errors of overrides and shape are given back beside what is sound of the recipe.

    Whoever looks for further mistakes can then report all of them at once.
    """
    chain = _chain(name_or_path, registry)
    layers = Layers()
    for name, path, document in reversed(chain):
        layers.add(_own_data(path, document), partial(_layer, name, document))
    for patch in _patches(variant or {}):
        layers.add(patch, "the variant")
    return resolve(layers, overrides, name=chain[0][0], path=chain[0][1])


def resolve(layers: Layers, overrides: Sequence[str], *, name: str, path: Path | None) -> tuple[Recipe, Shape]:
    """The recipe that layers and, on top, overrides make; errors are left in the shape."""
    unread = read_overrides(layers, overrides)
    shape = check_shape(layers.data, layers.origins)
    data = {"summary": "", "seed": 0, "axes": {}, "plugins": {}, "runtime": {}, "report": {}}
    data |= _alive(shape.data if shape.errors else layers.data)
    recipe = Recipe(name=name, path=path, data=data, origins=layers.origins)
    return recipe, attrs.evolve(shape, errors=(*unread, *shape.errors))


def recipe_file(name_or_path: str | Path, registry: Registry, folder: Path | None = None) -> tuple[str, Path]:
    """Name and file of a recipe: a path when it ends in `.yaml` or holds a folder that exists, else a registry name."""
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith((".yaml", ".yml")):
        path = (folder or Path()) / Path(text).expanduser()
        if not path.is_file():
            raise UnknownNameError(f"the recipe file {path.resolve()} does not exist{_maybe(path.stem, registry)}")
        return path.stem, path.resolve()
    return text.rpartition("/")[2], registry.find("recipes", text).file


def _layer(name: str, document: Document, where: str) -> str:
    return f"recipe {name} ({document.where(where)})"


def _maybe(stem: str, registry: Registry) -> str:
    names = registry.names("recipes")
    return f"; a recipe of the registry is named without folder: {stem}" if stem in names else ""


def _chain(name_or_path: str | Path, registry: Registry) -> list[tuple[str, Path, Document]]:
    chain: list[tuple[str, Path, Document]] = []
    wanted: str | Path | None = name_or_path
    folder: Path | None = None
    where = ""
    while wanted is not None:
        try:
            name, path = recipe_file(wanted, registry, folder)
        except UnknownNameError as error:
            raise UnknownNameError(f"{where}{error}") from error
        if any(path == known for _, known, _ in chain):
            names = " -> ".join([*(known for known, _, _ in chain), name])
            raise ConfigError(f"{where}the recipes extend each other in a circle: {names}")
        document = read_yaml(path)
        chain.append((name, path, document))
        wanted, folder = document.data.get("extends"), path.parent
        where = f"{document.where('extends')}: extends: "
        if wanted is not None and not isinstance(wanted, str):
            raise ConfigError(f"{where}must be a recipe's name or file, not {wanted!r}")
    return chain


def _own_data(path: Path, document: Document) -> dict[str, Any]:
    """The file's data without `extends`, and with plugin files relative to where they are named."""
    data = {key: value for key, value in document.data.items() if key != "extends"}
    plugins = data.get("plugins")
    if isinstance(plugins, Mapping) and isinstance(plugins.get("files"), list):
        files = [str((path.parent / Path(str(file)).expanduser()).resolve()) for file in plugins["files"]]
        data["plugins"] = {**plugins, "files": files}
    return data


def _patches(variant: Mapping[str, Any]) -> list[dict[str, Any]]:
    patches: list[dict[str, Any]] = []
    for key, value in variant.items():
        patch: Any = value
        for part in reversed(split(str(key))):
            patch = {part: patch}
        patches.append(patch)
    return patches


def _alive(data: Mapping[str, Any]) -> dict[str, Any]:
    """Without the stages and axes that a layer took away by setting them to null."""
    result = {key: value for key, value in data.items() if value is not None}
    for section in ("axes", "stages"):
        if isinstance(result.get(section), Mapping):
            result[section] = {key: value for key, value in result[section].items() if value is not None}
    return result
