"""``python -m selma_plugins.scorer_training --pairs FILE --start FOLDER --out FOLDER``: see `preference_scorer`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import attrs

from selma_core.errors import SelmaError
from selma_plugins.scorer_training.pairs import read_pairs, scored_pairs


def arguments(words: list[str] | None) -> argparse.Namespace:
    """The command line; what is not given has the default of `ScorerOptions`."""
    parser = argparse.ArgumentParser(prog="selma_plugins.scorer_training", description=__doc__)
    parser.add_argument("--pairs", type=Path, help="JSON lines {prompt, better, worse, label?}, paths relative to it")
    parser.add_argument("--images", type=Path, help="an image set, with --scores instead of --pairs")
    parser.add_argument("--scores", type=Path, help="a score table of these images: the higher is the better")
    parser.add_argument("--rule", default="", help="of the table's metric; default its first")
    parser.add_argument("--margin", type=float, default=0.0, help="least difference of two scores that makes a pair")
    parser.add_argument("--start", type=Path, required=True, help="folder of a CLIP; without weights: at random")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write, a model for denscore")
    for name, kind in (("steps", int), ("batch", int), ("lr", float), ("warmup", int), ("weight-decay", float),
                       ("clip", float), ("heldout", float), ("save-every", int), ("log-every", int),
                       ("seed", int)):  # fmt: skip
        parser.add_argument(f"--{name}", type=kind)
    parser.add_argument("--split", choices=("official", "fixed"), help="how prompts are cut into sentences")
    parser.add_argument("--device", help="cpu, cuda, ...")
    found = parser.parse_args(words)
    if (found.pairs is None) == (found.images is None) or (found.images is None) != (found.scores is None):
        parser.error("give --pairs, or --images and --scores")
    return found


def main(words: list[str] | None = None) -> int:
    """Trains; 2 after a mistake of the user's."""
    given = arguments(words)
    from selma_plugins.scorer_training.train import ScorerOptions, train

    try:
        pairs = (
            read_pairs(given.pairs)
            if given.pairs is not None
            else scored_pairs(given.images, given.scores, given.rule, given.margin)
        )
        names = [field.name for field in attrs.fields(ScorerOptions)]
        options = ScorerOptions(**{n: getattr(given, n) for n in names if getattr(given, n, None) is not None})
        card = train(options, pairs)
    except SelmaError as error:
        print(f"preference_scorer: error: {error}", file=sys.stderr)
        return 2
    print(f"{given.out}: {card['steps']} steps, held-out accuracy {card['heldout_accuracy']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
