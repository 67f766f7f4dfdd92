"""The recipe of LongAlign says what the paper's settings are."""

from __future__ import annotations

from pathlib import Path

from selma_core.session import open_session


def test_longalign_has_the_papers_settings(tmp_path: Path) -> None:
    found = open_session("longalign_sd15", (), store=tmp_path / "store").graph
    align, reward = found["align"].bound, found["reward"].bound
    assert (align.rank, align.lr, align.clip, align.warmup, align.steps) == (32, 3e-5, 0.3, 2000, 28750)
    assert align.batch_size * align.accumulation == 192
    assert (align.beta1, align.beta2, align.weight_decay, align.epsilon) == (0.9, 0.999, 1e-2, 1e-8)
    assert (align.caption_dropout, align.flip, align.resolution, align.init) == (0.1, False, 512, "gaussian")
    assert align.text_encoder.use == "longalign"
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
