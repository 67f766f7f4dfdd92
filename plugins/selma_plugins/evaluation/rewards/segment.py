"""`segment_reward`: the things seen in an image, judged by how likely the prompt implies each.

Source: FineRewards, arXiv 2305.19599v1, the semantic segmentation ("SAM") reward. The paper segments the image and lets
a language model rate the category of every segment (`reading: segments`); the released code rates the tags of an image
tagger and segments nothing (`reading: tags`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from selma_core.averages import average_over_prompts
from selma_core.data import Atom, ImageItem, ItemAtoms, MetricInfo, Prompt, Summary
from selma_core.errors import UnknownNameError, did_you_mean
from selma_core.protocols import Context
from selma_core.rewards import KEY
from selma_plugins.evaluation.rewards.formula import reward
from selma_plugins.evaluation.rewards.options import SegmentRewardOptions
from selma_plugins.evaluation.rewards.rater import Rater
from selma_plugins.evaluation.rewards.seeing import Seen, Viewer
from selma_plugins.vqa.groups import groups_of


class SegmentReward:
    """A spec is `{text, groups}`; an image has one atom: the reward, the things with scores, and what is missing."""

    def __init__(self, options: SegmentRewardOptions) -> None:
        self._options = options
        eyes = options.tagger if options.reading == "tags" else options.segmenter
        self._judge = f"{eyes.use} + {options.judge.use}"
        self._rater: Rater | None = None

    @property
    def rules(self) -> tuple[str, ...]:
        """Those that the observations allow, the default first."""
        options = self._options
        names = ["precision", *(["recall"] if options.recall else [])]
        names += ["area"] if options.reading == "segments" else []
        first = ("recall" if options.recall else "precision") if options.rule == "auto" else options.rule
        return tuple(sorted(names, key=lambda name: name != first))

    @property
    def info(self) -> MetricInfo:
        """`judge` names the plugins until `observe` has met them, then who they are."""
        scale = "mean of (score - 2) / 2 over the things seen, scores 1 to 3: 0.5 = all certain, -0.5 = all unlikely"
        return MetricInfo(name="segment_reward", range=(-0.5, 0.5), rules=self.rules, judge=self._judge, scale=scale)

    def prepare(self, prompts: Sequence[Prompt], context: Context) -> dict[str, Any]:
        """prompt id -> spec."""
        return {prompt.id: {"text": prompt.text, "groups": groups_of(prompt)} for prompt in prompts}

    def observe(self, items: Sequence[ImageItem], specs: Mapping[str, Any], context: Context) -> Iterator[ItemAtoms]:
        """Looks, then asks the judge once per prompt and list of things; an unreadable reply is missing data."""
        viewer = Viewer(self._options, context)
        rater = self._rater = self._rater or Rater(self._options, context)
        self._judge = f"{viewer.identity} + {rater.identity}"
        unreadable = empty = 0
        for start in range(0, len(items), self._options.batch):
            part = items[start : start + self._options.batch]
            views = viewer.look(part)
            asked = [
                (str(specs[i.prompt.id]["text"]), v.things) for i, v in zip(part, views, strict=True) if not v.error
            ]
            rated = rater.rate([(text, [thing.label for thing in things]) for text, things in asked])
            for item, view in zip(part, views, strict=True):
                atom = self._atom(view, rated.get((str(specs[item.prompt.id]["text"]), view.labels)))
                unreadable += "unreadable" in atom.data
                empty += atom.data.get("empty", False)
                yield ItemAtoms(item_id=item.item_id, prompt_id=item.prompt.id, k=item.k, atoms=(atom,))
        if unreadable:
            context.warn(f"segment_reward: the replies on {unreadable} of {len(items)} images were unreadable")
        if empty:
            context.warn(f"segment_reward: nothing was seen in {empty} of {len(items)} images")

    def score(self, atoms: Sequence[Atom], spec: Any, rule: str) -> float | None:
        """The reward under a rule, from the stored scores of the things.

        Raises:
            UnknownNameError: no such rule, or one whose observations were not asked for.
        """
        if rule not in self.rules:
            raise UnknownNameError(f"segment_reward has no rule '{rule}' here: {did_you_mean(rule, self.rules)}")
        for atom in atoms:
            if atom.key == KEY and atom.status == "ok":
                return reward(atom.data["things"], len(atom.data.get("missing", ())), rule)
        return None

    def aggregate(self, rows: Sequence[ItemAtoms], specs: Mapping[str, Any], rule: str) -> Summary:
        """The mean over prompts of the mean over their images."""
        return average_over_prompts(
            rows,
            specs,
            lambda row, spec: self.score(row.atoms, spec, rule),
            info=self.info,
            rule=rule,
            judge=self._judge,
        )

    def _atom(self, view: Seen, found: Any) -> Atom:
        error = view.error or found.error
        if error:
            unreadable = view.unreadable if view.error else found.unreadable
            return Atom(key=KEY, value=None, raw=error, status="error", data={"unreadable": True} if unreadable else {})
        things = [thing.row() | {"score": found.rating.scores[thing.label]} for thing in view.things]
        missing = list(found.rating.missing)
        data: dict[str, Any] = {"things": things} | ({"missing": missing} if self._options.recall else {})
        data |= {} if things else {"empty": True}
        return Atom(key=KEY, value=reward(things, len(missing), self.rules[0]), raw=found.raw, data=data)
