"""The vision-language judges: chat templates, Qwen's options, and what is loaded or refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from selma_plugins.judges.blip2 import Blip2Chat
from selma_plugins.judges.options import Blip2Options

from selma_core.data import ChatRequest, Entry, Message
from selma_core.errors import ModelError
from selma_core.testing import FakeContext
from tests.judges.tiny import BOS, WORDS


def ask(text: str, *images: Path, **fields: Any) -> ChatRequest:
    return ChatRequest(messages=(Message.user(*images, text),), **{"max_tokens": 6, "choices": ("yes", "no")} | fields)


def prepared(model: Any, request: ChatRequest) -> dict[str, Any]:
    """What the model takes for one request."""
    if model._loaded is None:
        model._loaded = model._borrow()
    found: dict[str, Any] = model._prepare(model._loaded, request)
    return found


def test_qwen_thinks_only_when_told(judge: Any, pictures: list[Path]) -> None:
    request = ask("a", pictures[0])
    off = [WORDS[i] for i in prepared(judge("qwen3"), request)["input_ids"][0]]
    on = [WORDS[i] for i in prepared(judge("qwen3", thinking=True), request)["input_ids"][0]]
    assert off[-3:] == ["think", "off", "bot:"]
    assert on[-2:] == ["a", "bot:"]


def test_qwens_pixel_limits(judge: Any, pictures: list[Path]) -> None:
    request = ask("a", pictures[2])  # 32 x 24 pixels in patches of 4
    patches = {
        limits: int(prepared(judge("qwen3", **dict(limits)), request)["image_grid_thw"].prod())
        for limits in [(), (("max_pixels", 256),), (("min_pixels", 2000), ("max_pixels", 4096))]
    }
    assert list(patches.values()) == [48, 8, 140]


def test_image_text_passes_options_on(judge: Any, pictures: list[Path]) -> None:
    options = {"template": {"enable_thinking": False}, "image": {"size": {"shortest_edge": 64, "longest_edge": 256}}}
    inputs = prepared(judge("qwen25", **options), ask("a", pictures[2]))
    assert [WORDS[i] for i in inputs["input_ids"][0]][-3:] == ["think", "off", "bot:"]
    assert int(inputs["image_grid_thw"].prod()) == 8


def test_a_template_that_writes_the_first_token_gets_no_second(
    judge: Any, folder: Any, pictures: list[Path], tmp_path: Path
) -> None:
    for start in ("", "<s> "):
        copy = tmp_path / f"llava{len(start)}"
        shutil.copytree(folder("llava"), copy)
        template = copy / "chat_template.jinja"
        template.write_text(start + template.read_text())
        data = json.loads((copy / "tokenizer.json").read_text())
        special = {"id": "<s>", "ids": [BOS], "tokens": ["<s>"]}
        single = [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
        data["post_processor"] = {
            "type": "TemplateProcessing", "single": single, "pair": single, "special_tokens": {"<s>": special},
        }  # fmt: skip
        (copy / "tokenizer.json").write_text(json.dumps(data))
        ids = prepared(judge("llava", model=str(copy)), ask("a", pictures[0]))["input_ids"][0].tolist()
        assert ids.count(BOS) == 1


def test_a_model_without_a_template_cannot_be_asked(
    judge: Any, folder: Any, pictures: list[Path], tmp_path: Path
) -> None:
    shutil.copytree(folder("llava"), tmp_path / "bare", ignore=shutil.ignore_patterns("chat_template*"))
    with pytest.raises(ModelError, match="no chat template"):
        judge("llava", model=str(tmp_path / "bare")).reply([ask("a", pictures[0])])


def test_a_template_may_refuse(judge: Any, folder: Any, pictures: list[Path], tmp_path: Path) -> None:
    shutil.copytree(folder("llava"), tmp_path / "strict")
    template = tmp_path / "strict" / "chat_template.jinja"
    template.write_text(
        "{% if messages|length > 1 %}{{ raise_exception('one turn only') }}{% endif %}" + template.read_text()
    )
    turn = ask("a", pictures[0])
    two = attrs.evolve(turn, messages=turn.messages * 2)
    refused, fine = judge("llava", model=str(tmp_path / "strict")).reply([two, turn])
    assert "one turn only" in refused.error
    assert fine.error is None


# --- loading ------------------------------------------------------------------------------------------------


def test_another_kind_of_model_is_named(judge: Any, folder: Any, pictures: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="type 'llava'; blip-2 is wanted"):
        judge("blip2_opt", model=str(folder("llava"))).reply([ask("a", pictures[0])])
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelError, match="cannot read the vision-language model") as caught:
        judge("llava", model=str(tmp_path)).reply([ask("a", pictures[0])])
    assert "\n" not in str(caught.value)


def test_pickled_weights_are_refused(judge: Any, folder: Any, pictures: list[Path], tmp_path: Path) -> None:
    for file in folder("blip_vqa").iterdir():
        if file.suffix != ".safetensors":
            shutil.copy(file, tmp_path)
    model = transformers.BlipForQuestionAnswering.from_pretrained(folder("blip_vqa"))
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot read"):
        judge("blip_vqa", model=str(tmp_path)).reply([ask("a", pictures[0])])


def test_a_checkpoint_that_lacks_tensors_is_refused(
    judge: Any, folder: Any, pictures: list[Path], tmp_path: Path
) -> None:
    shutil.copytree(folder("blip2_opt"), tmp_path / "cut")
    tensors = load_file(tmp_path / "cut" / "model.safetensors")
    del tensors["qformer.layernorm.weight"]
    save_file(tensors, tmp_path / "cut" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks 1 tensors of a Blip2.*qformer\.layernorm\.weight"):
        judge("blip2_opt", model=str(tmp_path / "cut")).reply([ask("a", pictures[0])])


def test_one_folder_is_loaded_once_for_all_who_name_it(
    judge: Any, folder: Callable[[str], Path], pictures: list[Path], tmp_path: Path
) -> None:
    entry = Entry(section="models", name="m", provider="test", data={}, pin="sha256:1", path=folder("blip2_opt"))
    context = FakeContext(workdir=tmp_path, entries={("models", "m"): entry, ("models", "same"): entry})
    models = [
        Blip2Chat(Blip2Options(model="m")),
        Blip2Chat(Blip2Options(model="same", num_beams=2)),
        Blip2Chat(Blip2Options(model="m", dtype="float64")),  # type: ignore[arg-type]
    ]
    for model in models:
        model.attach(context)
        assert model.reply([ask("a", pictures[0])])[0].error is None
    first, second, other = (model._loaded for model in models)
    assert first is second
    assert first is not other
    assert [key.dtype for key in context.models] == ["auto", "float64"]
