"""Reads an ablation's file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from selma_core.ablation.spec import UNNAMED, Ablation, Claim, check_seeds, parse_seeds
from selma_core.config.overrides import parse_override
from selma_core.errors import ConfigError, did_you_mean
from selma_core.registry import Registry
from selma_core.variations import variants_of
from selma_core.yaml_files import read_yaml

_KEYS = (
    *("summary", "recipe", "variants", "vary", "grid", "seeds"),
    *("metric", "baseline", "variant", "measure", "claims", "notes", "reference", "license"),
)
_CLAIM = ("claim", "source", "better", "than", "margin")


def load_ablation(name_or_path: str | Path, registry: Registry) -> Ablation:
    """Reads and checks an ablation.

    Raises:
        UserError: an unknown name, an unreadable file, a wrong key; the message names the file.
    """
    text = str(name_or_path)
    is_file = isinstance(name_or_path, Path) or text.endswith((".yaml", ".yml"))
    file = Path(text) if is_file else registry.find("ablations", text).file
    data = read_yaml(file).data
    try:
        return attrs.evolve(_ablation(file, data), command=("ablate", text))
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error


def _ablation(file: Path, data: Mapping[str, Any]) -> Ablation:
    _known(data, _KEYS, "")
    recipe = data.get("recipe")
    if not isinstance(recipe, str):
        raise ConfigError("needs 'recipe', the name or file of a recipe")
    found = Ablation(
        name=file.stem,
        summary=str(data.get("summary") or ""),
        recipe=file.parent / recipe if recipe.endswith((".yaml", ".yml")) else recipe,
        variants=_variants(data),
        metric=str(data.get("metric") or ""),
        baseline=str(data.get("baseline") or ""),
        measured=_measured(data),
        seeds=parse_seeds(data["seeds"]) if data.get("seeds") is not None else (),
        claims=tuple(_claim(place, value) for place, value in enumerate(_list(data, "claims"))),
    )
    check_seeds(found)
    return found


def _variants(data: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Those of `variants` by their names, then those of `vary`; neither: the recipe as it is."""
    named, varied = data.get("variants") or {}, data.get("vary") or {}
    if not isinstance(named, Mapping) or not isinstance(varied, Mapping):
        raise ConfigError("'variants' is a mapping of name to overrides, 'vary' one of setting to values")
    if not (named or varied):
        if data.get("seeds") is None and not data.get("measure"):
            raise ConfigError("needs 'variants', a mapping of name to overrides, or 'vary', 'seeds' or 'measure'")
        return {UNNAMED: {}}
    found = {str(name): _changes(str(name), value) for name, value in named.items()}
    for path, values in varied.items():
        if not isinstance(values, list):
            raise ConfigError(f"vary.{path}: must be a list of values")
    more = variants_of(varied, str(data.get("grid") or "full")) if varied else {}
    for name in more:
        if name in found:
            raise ConfigError(f"the variant '{name}' is in 'variants' and comes out of 'vary' too")
    return {**found, **more}


def _changes(name: str, value: Any) -> dict[str, Any]:
    """The layer of a variant: `[a.b=1, c=2]` as on the command line, or a mapping."""
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, list) and all(isinstance(text, str) for text in value):
        return {".".join(keys): found for keys, found in map(parse_override, value)}
    raise ConfigError(f"variants.{name}: must be a list of overrides (a.b=value) or a mapping")


def _measured(data: Mapping[str, Any]) -> tuple[str, ...]:
    if data.get("variant") and data.get("measure"):
        raise ConfigError("'variant' names one variant of the recipe, 'measure' several: give one of the two")
    return (str(data["variant"]),) if data.get("variant") else tuple(map(str, _list(data, "measure")))


def _claim(place: int, data: Any) -> Claim:
    where = f"claims[{place}]"
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where}: must be a mapping of {', '.join(_CLAIM)}")
    _known(data, _CLAIM, f"{where}: ")
    for key in ("claim", "better", "than"):
        if not data.get(key):
            raise ConfigError(f"{where}: needs '{key}'")
    than, margin = data["than"], data.get("margin", 0)
    if isinstance(margin, bool) or not isinstance(margin, int | float):
        raise ConfigError(f"{where}.margin: {margin!r} is not a number of points")
    return Claim(
        text=str(data["claim"]),
        source=str(data.get("source") or ""),
        better=str(data["better"]),
        than=tuple(map(str, than)) if isinstance(than, list) else (str(than),),
        margin=float(margin),
    )


def _list(data: Mapping[str, Any], key: str) -> list[Any]:
    found = data.get(key) or []
    if not isinstance(found, list):
        raise ConfigError(f"{key}: must be a list")
    return found


def _known(data: Mapping[str, Any], keys: tuple[str, ...], where: str) -> None:
    for key in data:
        if key not in keys:
            raise ConfigError(f"{where}unknown key '{key}'; {did_you_mean(str(key), keys)}")
