"""Where a prompt is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selma_plugins.encoders.sentences import split


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("It is 3.5 m tall; red. Is it? Yes.", ["It is 3.", "5 m tall; red.", " Is it.", " Yes."]),
        ("U.S. flag.", ["U.", "S.", " flag."]),
        ("One. Two. ", ["One.", " Two.", " ."]),
        ("A dog!", ["A dog!."]),
        ("...", ["..."]),
        ("", [""]),
    ],
)
def test_longalign_01_official_cuts_as_the_released_code(text: str, pieces: list[str]) -> None:
    assert split(text, "official") == pieces


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("It is 3.5 m tall; red. Is it? Yes.", ["It is 3.5 m tall;", "red.", "Is it?", "Yes."]),
        ("U.S. flag. A cat.", ["U.S. flag.", "A cat."]),
        ("Fruit, e.g. apples, by J. Smith, vs. pears! Dr. No smiles", [
            "Fruit, e.g. apples, by J. Smith, vs. pears!", "Dr. No smiles"]),
        ('He says "stop." Then a bus comes.', ['He says "stop."', "Then a bus comes."]),
        ("a red cat. two blue hats.", ["a red cat.", "two blue hats."]),
        ("Wait... what?! yes", ["Wait...", "what?!", "yes"]),
        ("One. Two. ", ["One.", "Two."]),
        ("A dog!", ["A dog!"]),
        ("...", ["..."]),
        ("", [""]),
    ],
)  # fmt: skip
def test_longalign_01_sentences_keep_decimals_and_abbreviations(text: str, pieces: list[str]) -> None:
    assert split(text, "sentence") == pieces


@given(st.text(alphabet="ab .!?;3U\"'"))
def test_no_letter_is_lost(text: str) -> None:
    assert "".join("".join(split(text, "sentence")).split()) == "".join(text.split())
