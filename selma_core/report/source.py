"""What the report needs of a run or an ablation; `selma_core.result.Run` satisfies it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar

from selma_core.artifacts.prompts import PromptSet
from selma_core.data import ImageItem, Summary
from selma_core.errors import SelmaError

P = ParamSpec("P")
T = TypeVar("T")


class ReportNode(Protocol):
    """One stage that ran, was reused, or failed (`artifact` is then None)."""

    @property
    def id(self) -> str:
        """`expert[count]`."""

    @property
    def label(self) -> str:
        """`expert`."""

    @property
    def kind(self) -> str:
        """Kind of plugin."""

    @property
    def plugin(self) -> str:
        """Its name."""

    @property
    def fingerprint(self) -> str:
        """Of the artifact."""

    @property
    def outcome(self) -> str:
        """`ran`, `reused` or `failed`."""

    @property
    def seconds(self) -> float:
        """Taken in this run."""

    @property
    def artifact(self) -> Path | None:
        """Its folder."""

    @property
    def axes(self) -> Mapping[str, str]:
        """Axis -> value."""

    @property
    def reads(self) -> Sequence[str]:
        """Ids of the stages that it reads."""

    @property
    def warnings(self) -> Sequence[str]:
        """What it wanted the user to see."""

    @property
    def error(self) -> str | None:
        """Why it failed, one line."""


class ReportRecipe(Protocol):
    """The resolved recipe."""

    @property
    def name(self) -> str:
        """Of the registry entry, or the file's stem."""

    @property
    def path(self) -> Path | None:
        """Its file."""

    @property
    def data(self) -> Mapping[str, Any]:
        """Plain, with `extends` and overrides resolved."""

    @property
    def origins(self) -> Mapping[str, str]:
        """Dotted path -> the layer that set the value."""


class ReportSource(Protocol):
    """A finished run or ablation. Whatever is looked up through a recipe goes by methods: there may be several."""

    @property
    def run_id(self) -> str:
        """Its id."""

    @property
    def recipe(self) -> ReportRecipe:
        """The resolved recipe."""

    @property
    def nodes(self) -> Sequence[ReportNode]:
        """All stages, inputs first."""

    @property
    def result(self) -> Mapping[str, Any]:
        """The JSON object of `selma run --json`."""

    @property
    def summaries(self) -> Mapping[str, Mapping[str, Summary]]:
        """variant -> metric -> summary."""

    @property
    def headline(self) -> str:
        """The metric that was declared, else the first one there is; "" without scores."""

    @property
    def title(self) -> tuple[str, str]:
        """The page's headline and the line under it: name and summary of the recipe, or of the ablation."""

    @property
    def report_settings(self) -> Mapping[str, Any]:
        """`headline`: a metric; `baseline`: a variant; `compare`: pairs of variants. Each may be absent."""

    @property
    def command(self) -> str:
        """The command line that makes the same again."""

    def score_node(self, variant: str, metric: str, /) -> ReportNode | None:
        """The stage that scored a variant; of several training seeds the first."""

    def sample_node(self, variant: str, /) -> ReportNode | None:
        """The stage that drew the variant's images that the headline metric judged; of several seeds the first."""

    def judged_prompts(self) -> Sequence[str]:
        """One line per set of prompts that the judged images were drawn from."""

    def prompts(self, node_id: str, /) -> PromptSet:
        """The prompts a stage stored."""

    def images(self, node_id: str, /) -> Sequence[ImageItem]:
        """The images a stage stored."""


def baseline(source: ReportSource) -> str:
    """The variant that others are compared with, "" when there is none."""
    return str(source.report_settings.get("baseline") or "")


def read_or_note(notes: list[str], what: str, read: Callable[P, T], /, *args: P.args, **names: P.kwargs) -> T | None:
    """What `read` gives; None and a note when it cannot be read, because a report must come out all the same."""
    try:
        return read(*args, **names)
    except (SelmaError, OSError) as error:
        notes.append(f"{what} cannot be shown: {error}")
        return None
