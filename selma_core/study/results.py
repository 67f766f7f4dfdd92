"""From raters' files to win rates: ties count half, raters who failed attention checks are left out and named."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from selma_core.errors import UserError
from selma_core.statistics import krippendorff_alpha, two_way_mean
from selma_core.study.export import SCHEMA, read_key

CHOICES = ("left", "tie", "right")


@attrs.frozen
class Rater:
    """One rater's file. Attributes: answers = pair id -> question -> left | tie | right."""

    name: str
    answers: Mapping[str, Mapping[str, str]]


def import_results(key: Path, files: Sequence[Path], *, allowed_failures: int = 0, seed: int = 0) -> dict[str, Any]:
    """What the answers say.

    Args:
        key: the study's key. files: one per rater. allowed_failures: failed checks that a rater may have.
        seed: of the bootstrap over prompts and raters.

    Returns:
        the object of `selma study import --json`; `win_rate` is that of `a`, in per cent.

    Raises:
        UserError: no files, a file of another study, two files of one rater, an unknown pair or choice.
    """
    study = read_key(key)
    if not files:
        raise UserError("name the raters' files, like results-*.json")
    raters = _read_all(files, study)
    failed = {rater.name: _failed(rater, study) for rater in raters}
    kept = [rater for rater in raters if len(failed[rater.name]) <= allowed_failures]
    real = {pair: secret for pair, secret in study["pairs"].items() if secret["check"] is None}
    return {
        "study": study["study"],
        "a": study["a"],
        "b": study["b"],
        "n_pairs": len(real),
        "questions": {name: _question(name, kept, real, seed) for name in study["questions"]},
        "raters": [_rater(rater, failed[rater.name], real, rater in kept) for rater in raters],
    }


def _question(name: str, raters: Sequence[Rater], real: Mapping[str, Any], seed: int) -> dict[str, Any]:
    outcomes = {
        pair: {rater.name: _outcome(rater.answers[pair][name], secret) for rater in raters if _given(rater, pair, name)}
        for pair, secret in real.items()
    }
    votes = [
        (real[pair]["prompt_id"], who, _WORTH[won]) for pair, found in outcomes.items() for who, won in found.items()
    ]
    every = [won for found in outcomes.values() for won in found.values()]
    interval = two_way_mean(votes, seed=seed) if votes else None
    return {
        "win_rate": None if interval is None else 100.0 * interval.mean,
        "low": None if interval is None else 100.0 * interval.low,
        "high": None if interval is None else 100.0 * interval.high,
        "wins": every.count("a"),
        "ties": every.count("tie"),
        "losses": every.count("b"),
        "alpha": krippendorff_alpha(list(found.values()) for found in outcomes.values()),
        "n_answers": len(every),
        "n_missing": len(real) * len(raters) - len(every),
        "n_prompts": len({prompt for prompt, _, _ in votes}),
        "n_raters": len({who for _, who, _ in votes}),
    }


_WORTH = {"a": 1.0, "tie": 0.5, "b": 0.0}


def _outcome(choice: str, secret: Mapping[str, Any]) -> str:
    return "tie" if choice == "tie" else "a" if choice == secret["a"] else "b"


def _given(rater: Rater, pair: str, question: str) -> bool:
    return question in rater.answers.get(pair, {})


def _failed(rater: Rater, study: Mapping[str, Any]) -> list[str]:
    """Attention checks that were answered wrongly; one that was not reached is none."""
    asked = study["checked"]
    return [
        pair
        for pair, secret in study["pairs"].items()
        if secret["check"] is not None and _given(rater, pair, asked) and rater.answers[pair][asked] != secret["check"]
    ]


def _rater(rater: Rater, failed: Sequence[str], real: Mapping[str, Any], kept: bool) -> dict[str, Any]:
    answered = sum(bool(rater.answers.get(pair)) for pair in real)
    return {"rater": rater.name, "n_pairs": answered, "failed_checks": list(failed), "left_out": not kept}


def _read_all(files: Iterable[Path], study: Mapping[str, Any]) -> list[Rater]:
    found: dict[str, Path] = {}
    raters = []
    for path in files:
        rater = _read(path, study)
        if rater.name in found:
            raise UserError(f"{path} and {found[rater.name]} are both of rater '{rater.name}'; keep one")
        found[rater.name] = path
        raters.append(rater)
    return raters


def _read(path: Path, study: Mapping[str, Any]) -> Rater:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        known = data["schema"] == SCHEMA and isinstance(data["rater"], str) and isinstance(data["answers"], dict)
        of_study = data["study"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: is no file of answers ({type(error).__name__})") from None
    if not known:
        raise UserError(f"{path}: is no file of answers of this version")
    if of_study != study["study"]:
        raise UserError(f"{path}: belongs to another study ({of_study}, not {study['study']})")
    return Rater(data["rater"], {pair: _answers(path, pair, given, study) for pair, given in data["answers"].items()})


def _answers(path: Path, pair: str, given: Any, study: Mapping[str, Any]) -> dict[str, str]:
    if pair not in study["pairs"] or not isinstance(given, dict):
        raise UserError(f"{path}: answers '{pair}', which is no pair of this study")
    found = {question: given[question] for question in study["questions"] if question in given}
    for question, choice in found.items():
        if choice not in CHOICES:
            raise UserError(f"{path}: {pair}, {question}: '{choice}' is none of {', '.join(CHOICES)}")
    return found
