"""Options of `preference_scorer`."""

from __future__ import annotations

from typing import Literal

import attrs

from selma_core.options import at_least, between, entry, option, positive


@attrs.frozen(kw_only=True)
class PreferenceScorerOptions:
    """Options of `preference_scorer`; the defaults are PickScore's where they are known (CLIP-H, 128 pairs a step).

    Attributes:
        pairs: a folder with `pairs.jsonl`, rows `{prompt, better, worse, label?}`, and the pictures that they name; a
            folder, so that the pictures are pinned too. Pairs of scored images at the ports are added to them.
        metric, rule: which score says what is better. margin: least difference of two scores that makes a pair.
        split: as `denscore` cuts prompts into sentences, and as it should when it uses the model.
    """

    start: str = entry("models", help="a CLIP in transformers' form, with its tokenizer")
    random_start: bool = option(False, help="start's configuration and tokenizer only; weights at random")
    pairs: str = entry("folders", "", help="folder with pairs.jsonl and its pictures; empty: the ports' images")
    metric: str = option("", help="of the scores, by name; empty: the only one")
    rule: str = option("", help="of the metric; empty: its first")
    margin: float = option(0.0, help="least difference of two scores that makes a pair", check=at_least(0))
    split: Literal["official", "fixed"] = option("official", help="how prompts are cut into sentences")
    steps: int = option(4000, help="optimizer steps", check=positive)
    batch: int = option(128, help="pairs per step", check=positive)
    lr: float = option(3e-6, help="learning rate", check=positive)
    warmup: int = option(500, help="steps over which the rate rises from 0", check=at_least(0))
    weight_decay: float = option(0.01, help="of AdamW", check=at_least(0))
    clip: float = option(1.0, help="largest norm of the gradient; 0 = no limit", check=at_least(0))
    heldout: float = option(0.1, help="share of the prompts whose pairs are held out", check=between(0, 0.9))
    save_every: int = option(500, help="steps between checkpoints, and between held-out accuracies", check=positive)
    log_every: int = option(10, help="steps between rows of the curve", check=positive)

    def needed_ports(self) -> dict[str, str]:
        """Scored images, where there is no folder of pairs."""
        if self.pairs:
            return {}
        why = "pairs are made of images and their scores, or read from a folder (option pairs)"
        return {"images": why, "scores": why}
