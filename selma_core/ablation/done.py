"""A finished ablation."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import attrs

from selma_core.ablation.opened import OpenAblation, Place
from selma_core.ablation.spec import Ablation
from selma_core.config import Recipe
from selma_core.result import Finished, NodeResult
from selma_core.stage_lookup import StageLookup, override_flags


@attrs.frozen(kw_only=True)
class AblationRun(Finished):
    """A finished ablation. The ids of its nodes are `session:id`, its summaries go by the rows of its table.

    Attributes:
        opened: as it was run. Of several training seeds a summary is the mean, prompt by prompt.
    """

    opened: OpenAblation

    @property
    def ablation(self) -> Ablation:
        """As written."""
        return self.opened.ablation

    @property
    def recipe(self) -> Recipe:
        """The recipe under the first variant and seed."""
        return self.opened.first.recipe

    @property
    def headline(self) -> str:
        """The metric that is compared."""
        return str(self.result["metric"])

    @property
    def title(self) -> tuple[str, str]:
        """The ablation's name and summary; of settings varied on the command line the recipe's."""
        return self.ablation.name, self.ablation.summary or str(self.recipe.data.get("summary") or "")

    @property
    def report_settings(self) -> Mapping[str, Any]:
        """`headline`, `baseline`, and the pairs of `compare` where the recipe's report names them."""
        pairs = [list(pair) for pair in self.opened.pairs]
        return {"headline": self.headline, "baseline": self.opened.baseline, "compare": pairs}

    @property
    def command(self) -> str:
        """The command line that makes the same again."""
        words, seeds = list(self.ablation.command), self.ablation.seeds
        if seeds:
            words += ["--seeds", f"{seeds[0]}," if len(seeds) == 1 else ",".join(map(str, seeds))]
        return " ".join(["selma", *map(shlex.quote, words), *override_flags(self.recipe)])

    def score_node(self, variant: str, metric: str, /) -> NodeResult | None:
        """The stage that scored a row, with its first seed; None when there is none."""
        place = self._first(variant)
        return None if place is None else self._lookup(place.session).score_node(place.variant, metric)

    def sample_node(self, variant: str, /) -> NodeResult | None:
        """The stage that drew the images of a row, with its first seed; None when there is none."""
        place = self._first(variant)
        return None if place is None else self._lookup(place.session).sample_node(place.variant, self.headline)

    def judged_prompts(self) -> list[str]:
        """One line per prompt stage that the judged images were drawn from, with its options."""
        return self._lookup(next(iter(self.opened.sessions))).judged_prompts(self.headline)

    def _first(self, row: str) -> Place | None:
        return next(iter(self.opened.rows.get(row, {}).values()), None)

    def _lookup(self, session: str) -> StageLookup:
        nodes = [node for node in self.nodes if node.id.startswith(f"{session}:")]
        return StageLookup(self.opened.sessions[session].recipe.data, nodes)
