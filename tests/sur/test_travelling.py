"""A SUR-adapter goes on: merged with others, passed on by trainers that do not train it, used with another eta."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from selma_plugins.diffusion.loading import load_pipeline
from selma_plugins.diffusion.matched import encoder_for
from selma_plugins.sur.encoder import SurEncoder
from selma_plugins.sur.options import SurEncoderOptions
from selma_plugins.training.options import LoraOptions
from selma_plugins.training.trainer import LoraTrainer

import selma_core
from selma_core.artifacts.adapter import adapter_file, read_card, write_adapter
from selma_core.artifacts.encoder import read_learnt
from selma_core.data import ImageItem
from selma_core.errors import ArtifactError, UserError
from selma_core.options import Slot
from selma_core.protocols import TrainedAdapter, TrainJob
from selma_core.session import open_session
from tests.sur.conftest import SurContext, Train

ALONE = {"llm_weight": 0.0, "teacher": "", "prompt_weight": 1.0}


def stored(folder: Path, adapter: TrainedAdapter) -> Path:
    folder.mkdir()
    write_adapter(folder, adapter)
    return adapter_file(folder)


def encoded(adapter: Path, base: Path, work: Path, **options: Any) -> torch.Tensor:
    slot = Slot("sur_adapter", options) if options else Slot()
    encoder = encoder_for(slot, [adapter], SurContext(work))
    return encoder.encode(load_pipeline(base, torch.float32), ["a cat", ""]).hidden


def two(train: Train, folder: Path, **options: Any) -> tuple[Path, Path]:
    """Two adapters of one base, from different seeds; `options` of the second one."""
    made = [
        train(context=SurContext(folder / f"work{seed}", seed=seed), **ALONE, **(options if seed else {}))
        for seed in (0, 1)
    ]
    first, second = (stored(folder / name, one) for name, one in zip(("one", "two"), made, strict=True))
    return first, second


def merged(files: tuple[Path, ...], out: Path, strategy: str = "linear", **options: Any) -> Path:
    selma_core.merge(list(files), out, strategy=strategy, **options)
    return out


def further(base: Path, pairs: tuple[ImageItem, ...], start: Path, work: Path, slot: Slot | None = None) -> Any:
    """A LoRA trained for a step from a SUR-adapter."""
    context = SurContext(work / "lora")
    context.workdir.mkdir()
    small: dict[str, Any] = {"rank": 2, "steps": 1, "batch_size": 2, "accumulation": 1, "heldout": 0.0}
    options = LoraOptions(model=str(base), text_encoder=slot or Slot(), **small)
    return LoraTrainer(options).train(TrainJob(context=context, images=pairs, adapter=start))


def test_adapters_of_one_base_are_averaged_and_drawn_with(train: Train, base: Path, tmp_path: Path) -> None:
    files = two(train, tmp_path)
    mean = merged(files, tmp_path / "mean" / "m.safetensors", weights=[3.0, 1.0])
    learnt = [read_learnt(file.parent / "encoder.safetensors") for file in files]
    found = read_learnt(tmp_path / "mean" / "m.encoder.safetensors")
    name = "network.mlp.0.weight"
    assert torch.allclose(found[name], 0.75 * learnt[0][name] + 0.25 * learnt[1][name])
    drawn = [encoded(file, base, tmp_path) for file in (*files, mean)]
    assert not any(torch.equal(drawn[2], one) for one in drawn[:2])
    same = merged((files[0], files[0]), tmp_path / "same" / "m.safetensors", strategy="ties")
    assert torch.equal(encoded(same, base, tmp_path), drawn[0]), "equal ones need no mean"


def test_what_does_not_go_together_is_refused_by_name(train: Train, tmp_path: Path) -> None:
    files = two(train, tmp_path, eta=0.5)
    with pytest.raises(ArtifactError, match=r"differ in eta \(0\.1, 0\.5\)"):
        merged(files, tmp_path / "m.safetensors")
    (tmp_path / "more").mkdir()
    alike = two(train, tmp_path / "more")
    with pytest.raises(UserError, match="use the strategy linear"):
        merged(alike, tmp_path / "t.safetensors", strategy="ties")


def test_a_lora_that_starts_from_it_passes_it_on_and_draws(
    train: Train, base: Path, pairs: tuple[ImageItem, ...], tmp_path: Path
) -> None:
    start = stored(tmp_path / "start", train(**ALONE))
    on = stored(tmp_path / "on", further(base, pairs, start, tmp_path))
    assert torch.equal(encoded(on, base, tmp_path), encoded(start, base, tmp_path))
    assert read_card(on.parent)["sur_adapter"] == read_card(start.parent)["sur_adapter"]


def test_eta_is_the_trained_one_until_another_is_asked_for(train: Train, base: Path, tmp_path: Path) -> None:
    adapter = stored(tmp_path / "adapter", train(eta=0.4, **ALONE))
    plain = SurEncoder(SurEncoderOptions()).plain(load_pipeline(base, torch.float32), ["a cat", ""]).hidden
    trained = encoded(adapter, base, tmp_path)
    assert torch.equal(encoded(adapter, base, tmp_path, eta=0.4), trained)
    assert torch.allclose(encoded(adapter, base, tmp_path, eta=0.0), plain, atol=1e-6)
    half = encoded(adapter, base, tmp_path, eta=0.2)
    assert torch.allclose(half - plain, (trained - plain) / 2, atol=1e-5)  # additive: linear in eta
    only = encoded(adapter, base, tmp_path, eta=0.2, apply_to="positive")
    assert torch.equal(only[0], half[0])
    assert torch.equal(only[1], plain[1])


def test_options_of_the_training_stay_what_they_were(train: Train, base: Path, tmp_path: Path) -> None:
    adapter = stored(tmp_path / "adapter", train(**ALONE))
    with pytest.raises(ArtifactError, match=r"leave text_encoder out to use its own, or change only apply_to, eta, fo"):
        encoded(adapter, base, tmp_path, encoder=Slot("chunked"), eta=0.2)
    with pytest.raises(UserError, match="for training set the option 'eta' of the trainer"):
        train(text_encoder=Slot("sur_adapter", {"eta": 0.2}), **ALONE)
    with pytest.raises(ValueError, match="must be between 0 and 1"):
        SurEncoderOptions(eta=1.5)


def test_a_lora_trained_under_another_eta_keeps_it(
    train: Train, base: Path, pairs: tuple[ImageItem, ...], tmp_path: Path
) -> None:
    start = stored(tmp_path / "start", train(**ALONE))
    on = stored(tmp_path / "on", further(base, pairs, start, tmp_path, Slot("sur_adapter", {"eta": 0.02})))
    assert torch.equal(encoded(on, base, tmp_path), encoded(start, base, tmp_path, eta=0.02))
    assert not torch.equal(encoded(on, base, tmp_path), encoded(start, base, tmp_path))
    assert torch.equal(encoded(on, base, tmp_path, eta=0.1), encoded(start, base, tmp_path))


def test_the_new_option_leaves_stored_results_where_they_are(tmp_path: Path) -> None:
    """At its default it is in no fingerprint; any other value is."""

    def fingerprint(*overrides: str) -> str:
        graph = open_session("sur_shapes", overrides, store=tmp_path / "store").graph
        return graph["sample[sur]"].fingerprint

    slot = "stages.sample[sur].options.text_encoder={use: sur_adapter, options: {eta: %s}}"
    plain = fingerprint("stages.sample[sur].options.text_encoder={use: sur_adapter}")
    assert fingerprint(slot % "null") == plain
    assert fingerprint(slot % "0.3") != plain


def test_drawing_asks_no_language_model(
    train: Train, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = stored(tmp_path / "adapter", train(llm_weight=0.1))

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a language model was asked for")

    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", refuse)
    with pytest.raises(AssertionError, match="language model"):
        train(llm_weight=0.1)
    assert encoded(adapter, base, tmp_path).isfinite().all()
