"""Long prompts from the command line to the pipeline's call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from selma_plugins.diffusion.matched import encoder_for
from selma_plugins.encoders.convert_longsd import convert

from selma_core.artifacts.adapter import adapter_file
from selma_core.cli import main
from selma_core.options import Slot
from tests.encoders.test_convert_longsd import released_adapter
from tests.long_stage import LongContext, t5_folder

SENTENCE = "a red cat sits left of the blue hat. "
LONG = SENTENCE * 22  # 198 words
SMALL = ["--steps", "1", "-o", "height=16", "-o", "width=16"]


@pytest.mark.parametrize("use", ["longalign", "chunked"])
@pytest.mark.parametrize("family", ["sd", "sdxl"])
def test_an_image_is_drawn_and_embeddings_come_in_pairs(
    folder: Callable[[str], Path], tmp_path: Path, use: str, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Defect of diffusers: a missing negative is tokenised to the length of the other, on which CLIP fails."""
    import diffusers

    kind = {"sd": diffusers.StableDiffusionPipeline, "sdxl": diffusers.StableDiffusionXLPipeline}[family]
    seen: list[dict[str, Any]] = []
    inner = kind.encode_prompt
    named = ("prompt", "negative_prompt", "prompt_embeds", "negative_prompt_embeds")

    def spy(self: Any, *args: Any, **kwargs: Any) -> Any:
        import inspect

        bound = inspect.signature(inner).bind(self, *args, **kwargs).arguments
        seen.append({name: bound.get(name) for name in named})
        return inner(self, *args, **kwargs)

    monkeypatch.setattr(kind, "encode_prompt", spy)
    asked = ["generate", SENTENCE * 3, "--model", str(folder(family)), *SMALL, "-o", f"text_encoder.use={use}"]
    assert main([*asked, "--out", str(tmp_path / "a.png"), "--device", "cpu"]) == 0
    assert Image.open(tmp_path / "a.png").size == (16, 16)
    assert seen
    for call in seen:
        positive, negative = call["prompt_embeds"], call["negative_prompt_embeds"]
        assert call["prompt"] is None
        assert positive.shape == negative.shape
        assert positive.shape[1] > 16
        # Defect 16: which of the two is which. The negative is that of the empty prompt: zeros for SDXL.
        assert not torch.equal(positive, negative)
        assert negative.any() == (family == "sd")


def test_generate_says_how_much_of_a_long_prompt_is_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["generate", LONG, "--model", "shapes_base", "--steps", "1", "--device", "cpu"]
    out = ["--out", str(tmp_path / "a.png")]
    longalign = ["-o", "text_encoder.use=longalign", "-o", "text_encoder.options.clip_len=400"]
    assert main([*asked, *out, *longalign]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "prompt: 22 segments," in said
    assert "cut off" not in said
    assert main([*asked, *out]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "prompt: 1 segment," in said
    assert "tokens cut off" in said


def test_a_converted_adapter_draws_with_its_t5_rows(
    folder: Callable[[str], Path], tiny: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the command line; defect 16 with T5: the negative half is the empty text's, the other the prompt's."""
    import diffusers

    save_file({k: v.clone() for k, v in released_adapter(24, 8, 32).items()}, tmp_path / "adapter.safetensors")
    t5 = t5_folder(tmp_path / "t5", 24)
    convert(tmp_path / "long", adapter=tmp_path / "adapter.safetensors", loras=[], t5=str(t5))
    halves: list[torch.Tensor] = []
    forward = diffusers.UNet2DConditionModel.forward

    def spy(self: Any, sample: Any, timestep: Any, encoder_hidden_states: Any, **kwargs: Any) -> Any:
        halves.append(encoder_hidden_states)
        return forward(self, sample, timestep, encoder_hidden_states, **kwargs)

    monkeypatch.setattr(diffusers.UNet2DConditionModel, "forward", spy)
    asked = ["generate", SENTENCE, "--model", str(folder("sd")), "--adapter", str(tmp_path / "long"), *SMALL]
    assert main([*asked, "-o", "guidance=3", "--out", str(tmp_path / "a.png"), "--device", "cpu"]) == 0
    assert Image.open(tmp_path / "a.png").size == (16, 16)
    encoder = encoder_for(Slot(), [adapter_file(tmp_path / "long")], LongContext(tmp_path))
    prompt, empty = encoder.encode(tiny("sd"), [SENTENCE, ""]).hidden
    negative, positive = halves[0].chunk(2)
    assert positive.shape[1:] == (480, 32)
    assert torch.allclose(positive[0], prompt, atol=1e-5)
    assert torch.allclose(negative[0], empty, atol=1e-5)
    assert not torch.allclose(positive[0], empty, atol=1e-2)
    assert not torch.allclose(positive[0, 240:], negative[0, 240:], atol=1e-3)
