"""From evaluator to reward and back, and how a trainer gets a reward by name: also one that a third party ships."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from PIL import Image
from selma_plugins.preference.options import PickScoreOptions
from selma_plugins.preference.pickscore import PickScore
from selma_plugins.preference.rewards import PickScoreReward

from selma_core.artifacts.scores import ScoreTable, read_scores, write_scores
from selma_core.averages import average_over_prompts
from selma_core.catalog import Catalog
from selma_core.data import Atom, ImageItem, ItemAtoms, MetricInfo, Prompt
from selma_core.errors import ArtifactError, PluginError, StageError, UserError
from selma_core.options import Slot
from selma_core.protocols import Reward
from selma_core.registry import Registry
from selma_core.rewards import EvaluatorFromReward, RewardFromEvaluator
from selma_core.stages.context import StageContext
from selma_core.testing import FakeContext, check_evaluator, check_plugin
from tests.preference.support import items, observed


class Redness:
    """The mean of the red channel, minus what the prompt asks for."""

    info = MetricInfo(name="redness", range=(-1.0, 1.0), judge="arithmetic", scale="mean of the red channel")

    def __call__(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        return images[:, 0].mean((1, 2)) - torch.tensor([0.5 if "half" in prompt else 0.0 for prompt in prompts])


def test_an_evaluator_from_any_reward(tmp_path: Path) -> None:
    images = items(tmp_path, ["red", "half red"], size=(20, 30))
    summary = check_evaluator(EvaluatorFromReward, Redness(), items=images, workdir=tmp_path)
    evaluator = EvaluatorFromReward(Redness())
    specs, rows = observed(evaluator, images, FakeContext(workdir=tmp_path))
    for item, row in zip(images, rows, strict=True):
        red = np.asarray(Image.open(item.path))[..., 0].mean() / 255 - (0.5 if "half" in item.prompt.text else 0)
        assert [atom.key for atom in row.atoms] == ["score"]
        assert row.atoms[0].value == pytest.approx(red, abs=1e-6)
    values = [row.atoms[0].value for row in rows]
    assert summary.mean == pytest.approx(np.mean([v for v in values if v is not None]))
    assert (summary.metric, summary.judge, summary.scale) == ("redness", "arithmetic", 1.0)
    assert specs["p1"] == {"text": "half red", "groups": ["odd"]}


def test_a_reward_that_fails_is_an_error_not_a_score(tmp_path: Path) -> None:
    class Nan(Redness):
        def __call__(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
            return torch.full((len(images),), math.inf)

    class Wide(Redness):
        def __call__(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
            return images.mean((2, 3))

    images, context = items(tmp_path, ["red"], images=1), FakeContext(workdir=tmp_path)
    (row,) = observed(EvaluatorFromReward(Nan()), images, context)[1]
    assert (row.atoms[0].status, row.atoms[0].value) == ("error", None)
    with pytest.raises(StageError, match=r"reward 'redness' gave \(1, 3\) for one image, must be \(1,\)"):
        observed(EvaluatorFromReward(Wide()), images, context)


def test_a_reward_from_any_evaluator(tmp_path: Path) -> None:
    """There and back: the same reward, but for 8 bits."""
    context = FakeContext(workdir=tmp_path)
    reward = RewardFromEvaluator(EvaluatorFromReward(Redness()), context)
    assert isinstance(reward, Reward)
    assert reward.info.name == "redness"
    images = torch.rand(3, 3, 9, 7, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    prompts = ["red", "half red", "red"]
    found = reward(images, prompts)
    assert not found.requires_grad
    torch.testing.assert_close(found, Redness()(images, prompts).detach(), atol=0.5 / 255, rtol=0)
    assert list(tmp_path.iterdir()) == []


def test_the_round_trip_through_pickscore(context: FakeContext, tmp_path: Path) -> None:
    images = items(tmp_path, ["a cat", "two dogs"])
    evaluator = PickScore(PickScoreOptions())
    _, rows = observed(evaluator, images, context)
    pixels = [torch.from_numpy(np.array(Image.open(item.path))).permute(2, 0, 1) / 255 for item in images]
    reward = RewardFromEvaluator(PickScore(PickScoreOptions()), context, "cosine")
    found = reward(torch.stack(pixels), [item.prompt.text for item in images])
    assert found.tolist() == pytest.approx([row.atoms[0].data["cosine"] for row in rows], abs=1e-6)


def test_what_an_evaluator_cannot_observe_is_nan_and_prompts_keep_their_ids(tmp_path: Path) -> None:
    seen: list[ImageItem] = []

    class Failing(EvaluatorFromReward):
        def observe(self, items: Any, specs: Any, context: Any) -> Any:
            seen.extend(items)
            for item in items[::-1]:
                atom = Atom(key="score", value=None, raw="no", status="error")
                if item.prompt.id == "mine":
                    atom = Atom(key="score", value=0.25)
                yield ItemAtoms(item_id=item.item_id, prompt_id=item.prompt.id, k=item.k, atoms=(atom,))

    known = {"red": Prompt(id="mine", text="red")}
    reward = RewardFromEvaluator(Failing(Redness()), FakeContext(workdir=tmp_path), prompts=known)
    found = reward(torch.rand(3, 3, 4, 4), ["red", "blue", "red"])
    assert found.isnan().tolist() == [False, True, False]
    assert found[0] == 0.25
    assert [item.prompt.id for item in seen] == ["mine", "reward:blue", "mine"]
    assert len({item.item_id for item in seen}) == 3


def test_the_adapters_import_no_torch() -> None:
    code = "import sys, selma_core.rewards; assert not {'torch', 'numpy', 'PIL'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- by name ----------------------------------------------------------------------------------------------

PLUGIN = """
import attrs, torch
from selma_core import hookimpl
from selma_core.data import MetricInfo
from selma_core.options import option
from selma_core.records import EvaluatorRecord
from selma_core.rewards import EvaluatorFromReward

@attrs.frozen
class Options:
    channel: int = option(0, help="which channel")

class Colour:
    def __init__(self, options):
        self.options, self.context = options, None
    info = MetricInfo(name="colour")
    def attach(self, context):
        self.context = context
    def __call__(self, images, prompts):
        return images[:, self.options.channel].mean((1, 2))

def evaluator(options):
    return EvaluatorFromReward(Colour(options))

@hookimpl
def selma_evaluators():
    made = {"factory": "mine:evaluator", "reward": "mine:%s", "options": Options}
    yield EvaluatorRecord(name="colour", summary="a channel", **made)
"""


def stage(tmp_path: Path, reward: str = "Colour") -> StageContext:
    (tmp_path / "mine.py").write_text(PLUGIN % reward)
    catalog = Catalog.discover([tmp_path / "mine.py"])
    registry = Registry(catalog.registry_sources())
    return StageContext(seed=0, workdir=tmp_path, catalog=catalog, registry=registry, report=lambda event: None)


def test_a_third_partys_reward_by_name(tmp_path: Path) -> None:
    context = stage(tmp_path)
    green = context.reward(Slot("colour", {"channel": 1}))
    images = torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(green(images, ["", ""]), images[:, 1].mean((1, 2)))
    assert green.context is context  # type: ignore[attr-defined]
    assert context.reward(Slot("colour", {"channel": 1})) is green
    assert context.reward(Slot("mine.py/colour")) is not green
    # the evaluator of that name is another object
    assert isinstance(context.component("evaluator", Slot("colour", {"channel": 1})), EvaluatorFromReward)


def test_a_bundled_reward_by_name(tmp_path: Path) -> None:
    found = stage(tmp_path).reward(Slot("pickscore", {"rule": "cosine"}))
    assert isinstance(found, PickScoreReward)


def test_a_reward_that_is_not_there(tmp_path: Path) -> None:
    context = stage(tmp_path)
    with pytest.raises(
        UserError, match=r"evaluator 'dsg' has no differentiable reward; those that have: clipscore, .*pick"
    ):
        context.reward(Slot("dsg"))
    with pytest.raises(UserError, match="did you mean 'pickscore'"):
        context.reward(Slot("pikscore"))
    with pytest.raises(UserError, match="chanel"):
        context.reward(Slot("colour", {"chanel": 1}))
    (tmp_path / "broken").mkdir()
    with pytest.raises(PluginError, match=r"reward 'mine.py/colour': mine:Absent cannot be imported"):
        stage(tmp_path / "broken", "Absent").reward(Slot("colour"))


def test_conformance_looks_at_the_reward_too(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN % "Colour")
    check_plugin("mine.py", files=(tmp_path / "mine.py",))
    (tmp_path / "mine.py").write_text(PLUGIN % "Absent")
    with pytest.raises(AssertionError, match="mine:Absent cannot be imported"):
        check_plugin("mine.py", files=(tmp_path / "mine.py",))


# --- what is stored ---------------------------------------------------------------------------------------


def test_scale_and_text_limit_are_stored_and_old_tables_are_read(tmp_path: Path) -> None:
    info = MetricInfo(name="m", scale="cosine", max_text_tokens=77, judge="x")
    write_scores(tmp_path, ScoreTable(info, {}, ()), [])
    assert read_scores(tmp_path).info == info
    path = tmp_path / "info.json"
    old = {k: v for k, v in json.loads(path.read_text()).items() if k not in ("scale", "max_text_tokens")}
    path.write_text(json.dumps(old))
    assert read_scores(tmp_path).info == attrs.evolve(info, scale="", max_text_tokens=None)


def test_averages_scale_bounded_metrics_only_and_know_their_prompts() -> None:
    row = ItemAtoms(item_id="a-0", prompt_id="a", k=0, atoms=(Atom(key="score", value=0.5),))
    for scale, bounds in ((100.0, (0.0, 1.0)), (1.0, (-1.0, 1.0)), (1.0, (None, None))):
        info = MetricInfo(name="m", range=bounds)
        found = average_over_prompts([row], {"a": {}, "b": {}}, lambda r, s: 0.5, info=info, rule="r", judge="j")
        assert (found.mean, found.scale, found.coverage, found.n_prompts) == (0.5 * scale, scale, 0.5, 1)
    with pytest.raises(ArtifactError, match="image 'a-0' is of prompt 'a', which has no spec: did you mean 'aa'"):
        average_over_prompts([row], {"aa": {}}, lambda r, s: 0.5, info=MetricInfo(name="m"), rule="r", judge="j")
