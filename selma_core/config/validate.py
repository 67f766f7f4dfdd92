"""The shape of a recipe: known keys, kinds, axes and stages. Options are checked when they are bound."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from selma_core.config.problems import config_error, interpolations, unknown
from selma_core.errors import ConfigError
from selma_core.kinds import BY_NAME

TOP = ("summary", "reference", "license", "notes", "extends", "seed", "axes", "stages", "plugins", "runtime", "report")
SLOT = ("kind", "use", "foreach", "from", "options")
NODE = ("use", "from", "options")
ROUNDS = ("repeat", "first")
RUNTIME = ("executor", "device", "threads", "trackers")
REPORT = ("scores", "baseline", "headline", "compare", "rule", "title", "notes", "grid", "curves")
STAGE_KINDS = tuple(name for name, kind in BY_NAME.items() if kind.stage)
_MAPPINGS = ("axes", "stages", "plugins", "runtime", "report")


@attrs.frozen(kw_only=True)
class Shape:
    """What is wrong with the shape of a recipe, and what can be judged of it all the same.

    Attributes:
        errors: everything that is wrong, each with its path and the layer that set it, in the order of the recipe.
        data: the recipe without its misshapen parts: all of it when there are none.
        whole: whether `data` holds all axes and stages, so that what they read from each other can be judged.
        names: whether all plugin files are known, so that names of plugins can be judged.
    """

    errors: tuple[ConfigError, ...]
    data: dict[str, Any]
    whole: bool
    names: bool


def check_shape(data: Mapping[str, Any], origins: Mapping[str, str]) -> Shape:
    """Checks a merged recipe; raises nothing."""
    checker = _Checker(data, origins)
    errors = tuple(checker.errors())
    bad = checker.bad
    whole, names = not (bad["axes"] or bad["stages"]), not bad["plugins"]
    return Shape(errors=errors, data=checker.sound(), whole=whole, names=names)


class _Checker:
    def __init__(self, data: Mapping[str, Any], origins: Mapping[str, str]) -> None:
        self._data, self._origins = data, origins
        self._axes, self._stages = self._alive("axes"), self._alive("stages")
        self._labels = [label for label in self._stages if "[" not in label]
        self.bad: dict[str, set[str]] = {section: set() for section in _MAPPINGS}

    def errors(self) -> Iterable[ConfigError]:
        """All errors, in the order of the recipe's parts."""
        yield from self._keys("", self._data, TOP, "key of a recipe")
        for path, text in interpolations(self._data, ""):
            yield self._error(path, f"{text!r} holds '${{': values are plain data, nothing is read from outside")
        for key in _MAPPINGS:
            if self._data.get(key) is not None and not isinstance(self._data[key], Mapping):
                yield from self._noted(key, "", [self._error(key, f"must be a mapping, not {self._data[key]!r}")])
        yield from self._seed()
        for name, axis in self._axes.items():
            yield from self._noted("axes", name, self._axis(name, axis))
        if not self._stages:
            yield from self._noted("stages", "", [self._error("stages", "a recipe needs at least one stage")])
        for label, slot in self._stages.items():
            yield from self._noted("stages", label.partition("[")[0], self._stage(f"stages.{label}", label, slot))
        yield from self._rest()

    def sound(self) -> dict[str, Any]:
        """The recipe without what `errors` found misshapen; to be called after it."""
        axes = {} if self.bad["axes"] else self._axes  # axes name each other: all or none
        stages = {
            label: slot
            for label, slot in self._stages.items()
            if label.partition("[")[0] not in self.bad["stages"] and self._has_axes(label.partition("[")[0], axes)
        }
        kept = {label.partition("[")[0] for label in stages}
        rest = {
            section: {key: value for key, value in self._alive(section).items() if key not in self.bad[section]}
            for section in ("plugins", "runtime", "report")
        }
        axes = {name: _overlays_of(axis, kept) for name, axis in axes.items()}
        return {**self._data, **rest, "axes": axes, "stages": stages}

    def _has_axes(self, label: str, axes: Mapping[str, Any]) -> bool:
        slot = self._stages.get(label)
        return isinstance(slot, Mapping) and (bool(axes) or not slot.get("foreach"))

    def _noted(self, section: str, name: str, errors: Iterable[ConfigError]) -> Iterable[ConfigError]:
        for error in errors:
            self.bad[section].add(name)
            yield error

    def _alive(self, section: str) -> dict[str, Any]:
        found = self._data.get(section)
        return {str(k): v for k, v in found.items() if v is not None} if isinstance(found, Mapping) else {}

    def _seed(self) -> Iterable[ConfigError]:
        seed = self._data.get("seed", 0)
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            yield self._error("seed", f"must be an integer of at least 0, not {seed!r}")

    def _axis(self, name: str, axis: Any) -> Iterable[ConfigError]:
        path = f"axes.{name}"
        if not isinstance(axis, list | Mapping) or not axis:
            yield self._error(path, "must be a list of values, or a mapping value -> changes of stages, and not empty")
        elif isinstance(axis, list):
            if any(not isinstance(value, str | int | float) for value in axis):
                yield self._error(path, "its values must be texts or numbers")
            if len({str(value) for value in axis}) < len(axis):
                yield self._error(path, "a value is written twice")
        elif isinstance(axis, Mapping) and "repeat" in axis:
            yield from self._rounds(path, axis)
        else:
            for value, overlay in axis.items():
                yield from self._overlay(f"{path}.{value}", overlay)

    def _rounds(self, path: str, axis: Mapping[str, Any]) -> Iterable[ConfigError]:
        yield from self._keys(path, axis, ROUNDS, "key of an axis of rounds")
        count = axis["repeat"]
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            yield self._error(
                f"{path}.repeat", f"must be the number of rounds, an integer of at least 1, not {count!r}"
            )
        yield from self._overlay(f"{path}.first", axis.get("first"))

    def _overlay(self, path: str, overlay: Any) -> Iterable[ConfigError]:
        if overlay is not None and not isinstance(overlay, Mapping):
            yield self._error(path, f"must be a mapping stage -> changes, not {overlay!r}")
            return
        for label, slot in (overlay or {}).items():
            yield from self._node(f"{path}.{label}", label.partition("[")[0], slot)

    def _stage(self, path: str, label: str, slot: Any) -> Iterable[ConfigError]:
        if "[" in label:
            yield from self._node(path, label.partition("[")[0], slot)
            return
        if not isinstance(slot, Mapping):
            yield self._error(path, f"must be a mapping ({', '.join(SLOT)}), not {slot!r}")
            return
        yield from self._keys(path, slot, SLOT, "key of a stage")
        if "kind" not in slot:
            others = [other for other in self._labels if other != label]
            if set(slot) <= set(NODE) and others:  # most likely a wrong label on the command line or in a variant
                yield unknown(path, "stage", label, others, self._origins)
            else:
                yield self._error(path, f"needs 'kind', one of {', '.join(STAGE_KINDS)}")
        elif slot["kind"] not in STAGE_KINDS:
            message = f"kind of stage {slot['kind']!r}"
            yield unknown(f"{path}.kind", message, str(slot["kind"]), STAGE_KINDS, self._origins)
        if "kind" in slot and not (isinstance(slot.get("use"), str) and slot.get("use")):
            yield self._error(path, "needs 'use', the name of a plugin (see: selma plugins list)")
        yield from self._foreach(f"{path}.foreach", slot.get("foreach"))
        yield from self._slot(path, slot)

    def _node(self, path: str, label: str, slot: Any) -> Iterable[ConfigError]:
        if label not in self._labels:
            yield unknown(path, "stage", label, self._labels, self._origins)
        elif not isinstance(slot, Mapping):
            yield self._error(path, f"must be a mapping ({', '.join(NODE)}), not {slot!r}")
        else:
            yield from self._keys(path, slot, NODE, "key here")
            yield from self._slot(path, slot)

    def _slot(self, path: str, slot: Mapping[str, Any]) -> Iterable[ConfigError]:
        options, ports = slot.get("options"), slot.get("from")
        if options is not None and not isinstance(options, Mapping):
            yield self._error(f"{path}.options", f"must be a mapping, not {options!r}")
        if ports is not None and not isinstance(ports, Mapping):
            yield self._error(f"{path}.from", f"must be a mapping port -> stage, not {ports!r}")
            return
        for port, source in (ports or {}).items():
            texts = source if isinstance(source, list) else [source]
            if source is not None and not all(isinstance(text, str) and text for text in texts):
                yield self._error(f"{path}.from.{port}", f"must be a stage, a node, or a list of these, not {source!r}")

    def _foreach(self, path: str, foreach: Any) -> Iterable[ConfigError]:
        axes = foreach if isinstance(foreach, list) else [] if foreach is None else [foreach]
        for axis in axes:
            if axis not in self._axes:
                yield unknown(path, f"axis {axis!r}", str(axis), self._axes, self._origins)
        if len(set(map(str, axes))) < len(axes):
            yield self._error(path, "an axis is written twice")

    def _rest(self) -> Iterable[ConfigError]:
        for section, keys in (("plugins", ("files",)), ("runtime", RUNTIME), ("report", REPORT)):
            found = self._alive(section)
            yield from self._keys(section, found, keys, f"key of {section}")
        files, threads = self._alive("plugins").get("files", []), self._alive("runtime").get("threads", 1)
        if not _texts(files):
            yield from self._value("plugins", "files", "a list of files", files)
        if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
            yield from self._value("runtime", "threads", "an integer of at least 1", threads)
        yield from self._named_in_report()

    def _named_in_report(self) -> Iterable[ConfigError]:
        report = self._alive("report")
        scores, baseline, pairs = report.get("scores", ""), report.get("baseline", ""), report.get("compare", [])
        if not (isinstance(scores, str) or _texts(scores)):
            yield from self._value("report", "scores", "an evaluator stage or a list of these", scores)
        if not isinstance(baseline, str):
            yield from self._value("report", "baseline", "a variant", baseline)
        if not isinstance(pairs, list) or not all(_texts(pair) and len(pair) == 2 for pair in pairs):
            yield from self._value("report", "compare", "a list of pairs of variants like [[merged, base]]", pairs)

    def _value(self, section: str, key: str, what: str, found: Any) -> Iterable[ConfigError]:
        yield from self._noted(section, key, [self._error(f"{section}.{key}", f"must be {what}, not {found!r}")])

    def _keys(self, path: str, data: Any, known: Iterable[str], what: str) -> Iterable[ConfigError]:
        for key in data:
            if key not in known:
                where = f"{path}.{key}" if path else str(key)
                yield unknown(where, what, str(key), known, self._origins)

    def _error(self, path: str, message: str) -> ConfigError:
        return config_error(path, message, self._origins)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _overlays_of(axis: Any, labels: set[str]) -> Any:
    """An axis whose values lay nothing over stages that are left out."""
    if not isinstance(axis, Mapping):
        return axis
    if "repeat" in axis:
        return {**axis, "first": _kept(axis.get("first"), labels)}
    return {value: _kept(overlay, labels) for value, overlay in axis.items()}


def _kept(overlay: Any, labels: set[str]) -> dict[str, Any]:
    return {target: slot for target, slot in (overlay or {}).items() if target.partition("[")[0] in labels}
