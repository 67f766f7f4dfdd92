"""An adapter and the text encoder that it was trained with are a pair: in training, drawing, merging, copying."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from selma_core.artifacts.adapter import adapter_file, read_card, write_adapter
from selma_core.artifacts.encoder import LEARNT, card_entry, learnt_file, paired_encoder
from selma_core.artifacts.images import read_images
from selma_core.cli import main
from selma_core.errors import ArtifactError
from selma_core.options import Slot
from selma_core.protocols import TrainedAdapter
from selma_core.result import Run
from tests.whole.conftest import folder_of

# An encoder whose learnt part is one number added to everything, and a trainer that "learns" it.
SHIFTED = """
import attrs
from selma_core import hookimpl
from selma_core.artifacts.encoder import card_entry
from selma_core.options import Slot, component, entry, option
from selma_core.protocols import Embeddings, TrainedAdapter
from selma_core.records import AdapterTrainerRecord, NoOptions, TextEncoderRecord


@attrs.frozen
class Sign:
    sign: float = option(1.0, help="of the shift")


class Shifted:
    def __init__(self, options):
        from selma_plugins.encoders.clip import PipelineEncoder

        self._inner, self._sign, self._shift = PipelineEncoder(NoOptions()), options.sign, 0.0

    def load_learnt(self, tensors, card):
        self._shift = float(tensors["shift"])

    def encode(self, pipeline, prompts):
        return Embeddings(hidden=self._inner.encode(pipeline, prompts).hidden + self._sign * self._shift)


@attrs.frozen
class Learning:
    shift: float = option(help="what it learns")
    encoder: Slot = component("text_encoder", Slot("shifted"), help="whose")


class Trainer:
    def __init__(self, options):
        self._options = options

    def train(self, job):
        import torch

        card = {"base": "tiny", "encoder": card_entry(self._options.encoder)}
        return TrainedAdapter(tensors={}, metadata=card, encoder={"shift": torch.tensor(self._options.shift)})


@hookimpl
def selma_text_encoders():
    yield TextEncoderRecord(name="shifted", summary="adds what it learnt", factory="shifted:Shifted", options=Sign)


@hookimpl
def selma_adapter_trainers():
    yield AdapterTrainerRecord(name="learns", summary="a shift", factory="shifted:Trainer", options=Learning)
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    (tmp_path / "shifted.py").write_text(SHIFTED)
    (tmp_path / "prompts.txt").write_text("a red cat\ntwo blue hats")
    return tmp_path / "shifted.py"


@pytest.fixture
def stages(plugin: Path, draw: dict[str, Any]) -> dict[str, Any]:
    """Prompts, their images, and two encoders that learnt different shifts."""
    prompts = {"kind": "prompt_source", "use": "prompt_file", "options": {"path": str(plugin.with_name("prompts.txt"))}}
    return {"prompts": prompts, "images": sample(draw), "one": learns(0.3), "two": learns(0.5)}


def learns(shift: float, **encoder: Any) -> dict[str, Any]:
    options = {"shift": shift, **({"encoder": encoder} if encoder else {})}
    return {"kind": "adapter_trainer", "use": "learns", "from": {"images": "images"}, "options": options}


def sample(draw: dict[str, Any], adapter: str = "", **options: Any) -> dict[str, Any]:
    reads = {"prompts": "prompts", **({"adapter": adapter} if adapter else {})}
    return {"kind": "image_generator", "use": "diffusers", "from": reads, "options": {**draw, **options}}


def merged(*adapters: str, use: str = "linear", **options: Any) -> dict[str, Any]:
    return {"kind": "merge_strategy", "use": use, "from": {"adapters": list(adapters)}, "options": options}


def pictures(run: Run, stage: str) -> list[str]:
    return [item.sha256 for item in read_images(folder_of(run, stage))]


def failure(run: Run, stage: str) -> str:
    (error,) = [node.error for node in run.nodes if node.id == stage]
    assert error is not None
    return error


def shift(run: Run, stage: str) -> float:
    return float(load_file(folder_of(run, stage) / LEARNT)["shift"])


Start = Callable[..., Run]


def test_images_are_drawn_with_the_adapters_own_encoder(
    start: Start, stages: dict[str, Any], draw: dict[str, Any], plugin: Path
) -> None:
    run = start(
        {
            **stages,
            "own": sample(draw, "one"),
            "named": sample(draw, "one", text_encoder={"use": "shifted"}),
            "more": sample(draw, "two"),
        },
        (plugin,),
    )
    assert pictures(run, "own") == pictures(run, "named")
    assert len({tuple(pictures(run, stage)) for stage in ("images", "own", "more")}) == 3


@pytest.mark.parametrize(
    ("asked", "text"),
    [({"use": "clip"}, "clip"), ({"use": "shifted", "options": {"sign": -1.0}}, "shifted {sign: -1.0}")],
)
def test_another_encoder_is_refused_and_both_are_named(
    start: Start, stages: dict[str, Any], draw: dict[str, Any], plugin: Path, asked: dict[str, Any], text: str
) -> None:
    run = start({**stages, "wrong": sample(draw, "one", text_encoder=asked)}, (plugin,), fails=True)
    assert f"was trained with text encoder shifted, not {text}; leave text_encoder out" in failure(run, "wrong")


def test_a_trainer_that_starts_from_it_passes_it_on(
    start: Start, stages: dict[str, Any], draw: dict[str, Any], lora: dict[str, Any], plugin: Path
) -> None:
    further = {
        "kind": "adapter_trainer",
        "use": "lora",
        "from": {"images": "images", "adapter": "one"},
        "options": lora,
    }
    apart = {**further, "from": {"images": "images"}}
    run = start({**stages, "further": further, "apart": apart, "drawn": sample(draw, "further")}, (plugin,))
    card = read_card(folder_of(run, "further"))
    assert card["encoder"]["use"] == "shifted"
    assert shift(run, "further") == pytest.approx(0.3)
    # It learnt on that encoder's embeddings, so it learnt something else than on the pipeline's own.
    weights = [load_file(adapter_file(folder_of(run, stage))) for stage in ("further", "apart")]
    assert any(not torch.equal(weights[0][name], weights[1][name]) for name in weights[1])
    assert "encoder" not in read_card(folder_of(run, "apart"))
    assert not (folder_of(run, "apart") / LEARNT).exists()


def test_merging_averages_learnt_weights_by_linear_only(
    start: Start, stages: dict[str, Any], draw: dict[str, Any], plugin: Path
) -> None:
    run = start(
        {
            **stages,
            "again": learns(0.3, use="shifted", options={"sign": -1.0}),
            "mean": merged("one", "two"),
            "third": merged("one", "two", weights=[3.0, 1.0]),
            "twin": learns(0.3),
            "same": merged("one", "twin", use="ties"),
            "ties": merged("one", "two", use="ties"),
            "unlike": merged("one", "again"),
            "drawn": sample(draw, "mean"),
        },
        (plugin,),
        fails=True,
    )
    assert shift(run, "mean") == pytest.approx(0.4)
    assert shift(run, "third") == pytest.approx(0.35)
    assert shift(run, "same") == pytest.approx(0.3)
    assert "use the strategy linear" in failure(run, "ties")
    assert "shifted {sign: -1.0}: they do not go together" in failure(run, "unlike")
    assert pictures(run, "drawn") != pictures(run, "images")


LAYER = {"unet.a.to_q.lora_A.weight": torch.ones(1, 2), "unet.a.to_q.lora_B.weight": torch.ones(2, 1)}
CARD = {"base": "tiny", "encoder": card_entry(Slot("shifted"))}


def pair(folder: Path) -> Path:
    folder.mkdir()
    write_adapter(folder, TrainedAdapter(tensors=LAYER, metadata=CARD, encoder={"shift": torch.tensor(0.3)}))
    return adapter_file(folder)


def test_a_lost_or_foreign_half_is_named(tmp_path: Path) -> None:
    file = pair(tmp_path / "a")
    found = paired_encoder(file)
    assert found is not None
    assert (found.slot, found.learnt) == (Slot("shifted"), tmp_path / "a" / LEARNT)
    learnt_file(file).write_bytes(b"other")
    with pytest.raises(ArtifactError, match="is not what was trained with"):
        paired_encoder(file)
    learnt_file(file).unlink()
    with pytest.raises(ArtifactError, match="what its text encoder 'shifted' learnt is missing; put it at"):
        paired_encoder(file)


def test_what_cannot_be_a_pair_is_not_written(tmp_path: Path) -> None:
    nan = {"shift": torch.tensor(float("nan"))}
    with pytest.raises(ArtifactError, match="tensor 'shift' holds NaN"):
        write_adapter(tmp_path, TrainedAdapter(tensors=LAYER, metadata=CARD, encoder=nan))
    with pytest.raises(ArtifactError, match="its card names none"):
        write_adapter(tmp_path, TrainedAdapter(tensors=LAYER, metadata={}, encoder={"shift": torch.tensor(1.0)}))


@pytest.mark.parametrize("form", ["diffusers", "kohya", "peft-dir"])
def test_a_copy_in_another_form_brings_the_encoder_along(
    tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    tensors = {f"{layer}.lora_A.weight": torch.ones(1, 320), f"{layer}.lora_B.weight": torch.ones(320, 1)}
    (tmp_path / "a").mkdir()
    write_adapter(tmp_path / "a", TrainedAdapter(tensors=tensors, metadata=CARD, encoder={"shift": torch.tensor(0.3)}))
    out = tmp_path / ("copy" if form == "peft-dir" else "copy.safetensors")
    assert main(["adapter", "convert", str(tmp_path / "a"), "--to", form, "--out", str(out)]) == 0
    found = paired_encoder(out)
    assert found is not None
    assert found.learnt is not None
    capsys.readouterr()
    assert main(["adapter", "show", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["encoder"] == {
        "use": "shifted", "options": {}, "learnt": str(found.learnt)
    }  # fmt: skip
