"""The recipe of LongAlign says what the paper's settings are."""

from __future__ import annotations

from pathlib import Path

from selma_plugins.encoders.convert_longsd import _unet, layers_of
from selma_plugins.encoders.options import LongAlignOptions
from torch import nn

from selma_core.session import open_session


def test_longalign_has_the_papers_settings(tmp_path: Path) -> None:
    found = open_session("longalign_sd15", (), store=tmp_path / "store").graph
    align, reward = found["align"].bound, found["reward"].bound
    assert (align.rank, align.lr, align.clip, align.warmup, align.steps) == (32, 3e-5, 0.3, 2000, 28750)
    assert align.batch_size * align.accumulation == 192
    assert (align.beta1, align.beta2, align.weight_decay, align.epsilon) == (0.9, 0.999, 1e-2, 1e-8)
    assert (align.caption_dropout, align.flip, align.resolution, align.init) == (0.1, False, 512, "gaussian")
    assert align.text_encoder.use == "longalign"
    assert align.text_encoder.options == {"clip_len": 240, "t5": "t5_large", "t5_len": 240}
    defaults = LongAlignOptions()
    assert (defaults.t5_hidden, defaults.t5_mask, defaults.pad) == (896, False, "pad_star")
    assert align.min_snr == align.noise_offset == align.ema == 0
    assert (align.min_timestep, align.max_timestep, align.lr_schedule, align.alpha) == (0, 1000, "constant", None)
    # Every Linear and Conv2d under the blocks that the released code names, and no other.
    names = set(layers_of(_unet(None)))
    paths = [name for name, module in _unet(None).named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    assert {path for path in paths if any(path.endswith(f".{end}") for end in align.targets)} == names
    assert align.targets == reward.targets
    assert (reward.rank, reward.lr, reward.clip, reward.warmup, reward.steps) == (32, 3e-5, 0.3, 2000, 3750)
    assert reward.batch_size * reward.accumulation == 48
    assert (reward.method, reward.draw_steps, reward.k, reward.guidance) == ("drtune", 50, 5, 7.5)
    assert (reward.kl, reward.sft, reward.caption_dropout) == (0.0, 0.0, 0.0)
    assert found["reward"].inputs["adapter"] == ("align",)
    # What is trained with the encoder is drawn with it, without being told.
    sample = found["sample[rewarded]"]
    assert sample.inputs["adapter"] == ("reward",)
    assert sample.bound.text_encoder.use == ""
    assert (sample.bound.steps, sample.bound.guidance, sample.bound.scheduler) == (25, 7.5, "UniPCMultistepScheduler")


def test_the_t5_options_leave_stored_results_where_they_are(tmp_path: Path) -> None:
    """At their defaults they are in no fingerprint; any other value is."""
    place = "stages.align[longalign].options.text_encoder.options"

    def fingerprint(*overrides: str) -> str:
        graph = open_session("longalign_shapes", overrides, store=tmp_path / "store").graph
        return graph["align[longalign]"].fingerprint

    plain = fingerprint()
    assert fingerprint(f"{place}.t5=null", f"{place}.t5_len=240") == plain
    assert fingerprint(f"{place}.t5_len=100") != plain
    assert fingerprint(f"{place}.t5=t5_large") != plain


def test_clip_alone_is_one_override_away(tmp_path: Path) -> None:
    override = "stages.align.options.text_encoder.options.t5=null"
    found = open_session("longalign_sd15", (override,), store=tmp_path / "store").graph
    assert found["align"].bound.text_encoder.options["t5"] is None
