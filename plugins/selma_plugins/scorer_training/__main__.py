"""``python -m selma_plugins.scorer_training --pairs FILE --start FOLDER --out FOLDER``: `preference_scorer` alone."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from selma_core.artifacts.scorer import write_scorer
from selma_core.errors import SelmaError, UserError
from selma_plugins.scorer_training.options import PreferenceScorerOptions
from selma_plugins.scorer_training.pairs import Pair, read_pairs, scored_pairs


def arguments(words: list[str] | None) -> argparse.Namespace:
    """The command line; what is not given has the default of the plugin."""
    parser = argparse.ArgumentParser(prog="selma_plugins.scorer_training", description=__doc__)
    parser.add_argument("--pairs", type=Path, help="JSON lines {prompt, better, worse, label?}, paths relative to it")
    parser.add_argument("--images", type=Path, help="an image set, with --scores instead of --pairs")
    parser.add_argument("--scores", type=Path, help="a score table of these images: the higher is the better")
    parser.add_argument("--rule", default="", help="of the table's metric; default its first")
    parser.add_argument("--margin", type=float, default=0.0, help="least difference of two scores that makes a pair")
    parser.add_argument("--start", type=Path, required=True, help="folder of a CLIP")
    parser.add_argument("--random-start", action="store_true", help="weights at random; the folder needs none")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write, a model for denscore")
    for name, kind in (("steps", int), ("batch", int), ("lr", float), ("warmup", int), ("weight-decay", float),
                       ("clip", float), ("heldout", float), ("save-every", int), ("log-every", int)):  # fmt: skip
        parser.add_argument(f"--{name}", type=kind)
    parser.add_argument("--split", choices=("official", "fixed"), help="how prompts are cut into sentences")
    parser.add_argument("--seed", type=int, default=0, help="of all draws")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ...")
    found = parser.parse_args(words)
    if (found.pairs is None) == (found.images is None) or (found.images is None) != (found.scores is None):
        parser.error("give --pairs, or --images and --scores")
    return found


def main(words: list[str] | None = None) -> int:
    """Trains; 2 after a mistake of the user's."""
    given = arguments(words)
    try:
        pairs = (
            read_pairs(given.pairs)
            if given.pairs is not None
            else scored_pairs(given.images, given.scores, given.rule, given.margin)
        )
        card = train(given, pairs)
    except SelmaError as error:
        print(f"preference_scorer: error: {error}", file=sys.stderr)
        return 2
    print(f"{given.out}: {card['steps']} steps, held-out accuracy {card['heldout_accuracy']}")
    return 0


def train(given: argparse.Namespace, pairs: list[Pair]) -> Mapping[str, Any]:
    """The card of the folder `--out`, which is whole or not there; a killed training goes on from `.OUT.work`.

    Raises:
        UserError: the folder holds something else, or a setting is out of range. Else as `fit`.
    """
    from selma_plugins.scorer_training.train import Place, fit

    if given.out.exists() and any(given.out.iterdir()):
        raise UserError(f"{given.out} is not empty; name another folder")
    part, work = (given.out.with_name(f".{given.out.name}.{end}") for end in ("part", "work"))
    shutil.rmtree(part, ignore_errors=True)
    for folder in (part, work):
        folder.mkdir(parents=True, exist_ok=True)
    place = Place(start=given.start, out=part, work=work, seed=given.seed, device=given.device)
    trained = fit(_options(given), place, pairs, lambda done, total, note: print(note) if note else None)
    write_scorer(part, trained)
    shutil.rmtree(given.out, ignore_errors=True)
    part.rename(given.out)
    shutil.rmtree(work, ignore_errors=True)
    return trained.metadata


def _options(given: argparse.Namespace) -> PreferenceScorerOptions:
    names = {field.name for field in attrs.fields(PreferenceScorerOptions)} - {"start", "pairs"}
    found = {name: getattr(given, name) for name in names if getattr(given, name, None) is not None}
    try:
        return PreferenceScorerOptions(start=str(given.start), **found)
    except ValueError as error:
        raise UserError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
