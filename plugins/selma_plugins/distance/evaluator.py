"""What the kernel distances share: features are stored, and the distance is computed from them without a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from selma_core.averages import average_over_prompts
from selma_core.data import Atom, ImageItem, ItemAtoms, MetricInfo, Prompt, Summary
from selma_core.errors import UserError
from selma_core.protocols import Context
from selma_core.rewards import KEY, score_atom, score_value, text_spec

if TYPE_CHECKING:
    from selma_plugins.distance.kernel import Floats


class KernelDistance:
    """`selma_core.protocols.Evaluator` and `Comparing`. A subclass gives `metric` and `feature`.

    The atom of an image has as data `feature`, `near` (its mean kernel with the references) and `within` (that of the
    references with one another). Its value, within - 2 near, is what one image can say without the others of its set:
    lower is nearer. The set's distance adds the images' mean kernel with one another.
    """

    metric: ClassVar[MetricInfo]

    def __init__(self, options: Any) -> None:
        self.options = options
        self._references: tuple[ImageItem, ...] = ()

    @property
    def info(self) -> MetricInfo:
        """The definition; `judge` is the network."""
        return attrs.evolve(self.metric, judge=str(self.options.model))

    def feature(self, path: Path, context: Context) -> Floats:
        """[D] of an image file, fp64.

        Raises:
            OSError: it cannot be read.
        """
        raise NotImplementedError

    def against(self, baseline: Sequence[ImageItem]) -> None:
        """Keeps the references.

        Raises:
            UserError: there are fewer than two.
        """
        if len(baseline) < 2:
            raise UserError(
                f"{self.metric.name} compares with a set of images; give its stage from: {{baseline: STAGE}}"
            )
        self._references = tuple(baseline)

    def prepare(self, prompts: Sequence[Prompt], context: Context) -> Mapping[str, Any]:
        """A spec is `{text, groups}`."""
        return {prompt.id: text_spec(prompt) for prompt in prompts}

    def observe(self, items: Sequence[ImageItem], specs: Mapping[str, Any], context: Context) -> Iterator[ItemAtoms]:
        """One atom per image; an image that cannot be read is an error."""
        import numpy as np

        from selma_plugins.distance.kernel import apart, kernel, packed

        references = np.stack([self.feature(item.path, context) for item in self._references])
        within = apart(references)
        for item in items:
            try:
                found = self.feature(item.path, context)
            except (OSError, ValueError, SyntaxError) as error:  # Pillow raises SyntaxError for a broken PNG
                atom = Atom(key=KEY, value=None, raw=f"cannot read {item.path.name}: {error}", status="error")
            else:
                near = float(kernel(found[None], references).mean())
                atom = score_atom(within - 2 * near, {"feature": packed(found), "near": near, "within": within})
            yield ItemAtoms(item_id=item.item_id, prompt_id=item.prompt.id, k=item.k, atoms=(atom,))

    def score(self, atoms: Sequence[Atom], spec: Any, rule: str) -> float | None:
        """The stored value."""
        return score_value(atoms)

    def aggregate(self, rows: Sequence[ItemAtoms], specs: Mapping[str, Any], rule: str) -> Summary:
        """The distance of the whole set; the value of a prompt is the share of its images."""
        share = _shares(rows)
        info = self.info
        return average_over_prompts(
            rows, specs, lambda row, spec: share.get(row.item_id), info=info, rule=rule, judge=info.judge
        )


def _shares(rows: Sequence[ItemAtoms]) -> dict[str, float]:
    """item id -> what the image adds to the distance; empty for fewer than two images."""
    import numpy as np

    from selma_plugins.distance.kernel import shares, unpacked

    seen = [(row.item_id, atom.data) for row in rows for atom in row.atoms if atom.key == KEY and atom.status == "ok"]
    if len(seen) < 2:
        return {}
    features = np.stack([unpacked(str(data["feature"])) for _, data in seen])
    near = np.asarray([float(data["near"]) for _, data in seen])
    found = shares(features, near, float(seen[0][1]["within"]))
    return {name: float(value) for (name, _), value in zip(seen, found, strict=True)}
