"""The short form: a plain function on matrices becomes a merge strategy.

    from selma_core.merging.authoring import merge_strategy

    @merge_strategy(summary="the mean, without the smallest entries")
    def trimmed(deltas, weights, *, density: float = 0.5):
        ...

The function gets the experts' deltas as a list of [out, in] tensors and their weights as a list of floats, and gives a
tensor of that shape. Its keyword-only arguments become options (type and default from the signature) beside those of
`MergeOptions`. An argument `generators` is no option: it gets one seeded `torch.Generator` per expert, for masks.
The decorated name is the plugin: nothing else is needed in the module. The function itself stays at `.function`.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import attrs
from pluggy import HookimplMarker

from selma_core.errors import PluginError
from selma_core.hookspecs import PROJECT
from selma_core.merging.algebra import matrix, stream
from selma_core.merging.options import MergeOptions
from selma_core.merging.strategy import Strategy
from selma_core.options import option
from selma_core.protocols import Dense, LayerJob
from selma_core.records import MergeStrategyRecord

if TYPE_CHECKING:
    import torch

Merge = Callable[..., "torch.Tensor"]
STREAMS = "generators"


def merge_strategy(*, summary: str, reference: str = "", name: str | None = None) -> Callable[[Merge], Any]:
    """Makes a strategy of the function below it.

    Args:
        summary: one line for `selma plugins list`. reference: paper or repository. name: default, the function's.

    Raises:
        PluginError: an option of the function has no default.
    """

    def decorate(function: Merge) -> Any:
        options, wants_streams = _options(function), STREAMS in inspect.signature(function).parameters
        record = MergeStrategyRecord(
            name=name or function.__name__,
            summary=summary,
            factory=f"{function.__module__}:{function.__name__}.build",
            options=options,
            reference=reference,
        )

        def offer() -> Iterator[MergeStrategyRecord]:
            yield record

        def build(bound: MergeOptions) -> PlainStrategy:
            return PlainStrategy(bound, function, wants_streams)

        offer.__doc__, offer.__name__, offer.__module__ = function.__doc__, function.__name__, function.__module__
        offer.function, offer.build = function, build  # type: ignore[attr-defined]
        return HookimplMarker(PROJECT)(specname="selma_merge_strategies")(offer)

    return decorate


class PlainStrategy(Strategy[MergeOptions]):
    """A function on dense deltas, as `selma_core.protocols.MergeStrategy`."""

    def __init__(self, options: MergeOptions, function: Merge, wants_streams: bool) -> None:
        super().__init__(options)
        self._function, self._wants_streams = function, wants_streams
        shared = {field.name for field in attrs.fields(MergeOptions)}
        own = attrs.fields(type(options))
        self._arguments = {f.name: getattr(options, f.name) for f in own if f.name not in shared}

    def merge_layer(self, job: LayerJob) -> Dense | None:
        """Calls the function with the experts that have the layer."""
        kept = [i for i, expert in enumerate(job.experts) if expert is not None]
        if not kept:
            return None
        deltas = [matrix(expert) for expert in job.experts if expert is not None]
        arguments = dict(self._arguments)
        if self._wants_streams:
            arguments[STREAMS] = [stream(job, i) for i in kept]
        return Dense(delta=self._function(deltas, [job.weights[i] for i in kept], **arguments).float())


def _options(function: Merge) -> type[MergeOptions]:
    """An options class with a field for every keyword-only argument."""
    hints = typing.get_type_hints(function)
    fields: dict[str, Any] = {}
    types: dict[str, Any] = {}
    for argument in inspect.signature(function).parameters.values():
        if argument.kind is not argument.KEYWORD_ONLY or argument.name == STREAMS:
            continue
        if argument.default is argument.empty:
            raise PluginError(f"merge strategy {function.__name__}: option '{argument.name}' needs a default value")
        fields[argument.name] = option(argument.default)
        types[argument.name] = hints.get(argument.name, type(argument.default))
    title = "".join(part.title() for part in function.__name__.split("_")) + "Options"
    body = {**fields, "__annotations__": types, "__doc__": f"Options of `{function.__name__}`."}
    return attrs.frozen(type(title, (MergeOptions,), {**body, "__module__": function.__module__}))
