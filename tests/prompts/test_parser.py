"""Replies of language models -> lists of prompts."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selma_plugins.prompts.parser import clean, parse_list, parse_released

FORMS = {
    "expected numbers": ("4. a cat\n5. a dog\n6. a fox", ["a cat", "a dog", "a fox"]),
    "numbered from 1": ("1. a cat\n2. a dog\n3. a fox\n4. an owl", ["a cat", "a dog", "a fox", "an owl"]),
    "a number is missing": ("4. a cat\n6. a dog\n7. a fox", ["a cat", "a dog", "a fox"]),
    "bracket after the number": ("4) a cat\n5) a dog", ["a cat", "a dog"]),
    "holds the next number": (
        "4. a shirt with 5. printed on it\n5. floor 6. room of a hotel",
        ["a shirt with 5. printed on it", "floor 6. room of a hotel"],
    ),
    "both brackets": ("(4) a cat\n(5) a dog", ["a cat", "a dog"]),
    "square brackets": ("[1] a cat\n[2] a dog", ["a cat", "a dog"]),
    "colons": ("1: a cat\n2: a dog", ["a cat", "a dog"]),
    "no blank after the number": ("4.A cat\n5.A dog", ["A cat", "A dog"]),
    "a decimal is no mark": ("4. 3.5 inch disks\n5. 12:30 on a clock", ["3.5 inch disks", "12:30 on a clock"]),
    "indented": ("   4. a cat\n   5. a dog", ["a cat", "a dog"]),
    "windows line ends": ("4. a cat\r\n5. a dog\r\n", ["a cat", "a dog"]),
    "empty lines between": ("4. a cat\n\n5. a dog\n\n", ["a cat", "a dog"]),
    "dashes": ("- a cat\n- a dog", ["a cat", "a dog"]),
    "stars": ("* a cat\n* a dog", ["a cat", "a dog"]),
    "dots": ("• a cat\n• a dog", ["a cat", "a dog"]),
    "plain lines": ("a cat\na dog\n", ["a cat", "a dog"]),
    "plain lines with a heading": ("Here you are:\na cat\na dog", ["a cat", "a dog"]),
    "bold": ("**4.** **A cat** in the rain\n**5.** *A dog*", ["A cat in the rain", "A dog"]),
    "quotes": ("4. \"a cat\"\n5. “a dog”\n6. 'a fox'", ["a cat", "a dog", "a fox"]),
    "quotes within": (
        '4. a sign that reads "stop"\n5. "left" and "right"',
        ['a sign that reads "stop"', '"left" and "right"'],
    ),
    "talk around": ("Sure! Here are two more:\n\n4. a cat\n5. a dog\n\nHope this helps!", ["a cat", "a dog"]),
    "talk right after": ("4. a cat\n5. a dog\nLet me know if you want more!", ["a cat", "a dog"]),
    "wrapped lines": ("4. a cat that\nsleeps on a wall\n5. a dog", ["a cat that sleeps on a wall", "a dog"]),
    "several sentences": (
        "4. We see a lake.\nThere are trees.\n5. A dog.",
        ["We see a lake. There are trees.", "A dog."],
    ),
    "indented continuation": ("4. a cat\n5. a dog that\n   Runs", ["a cat", "a dog that Runs"]),
    "number alone": ("4.\na cat\n\n5.\n\na dog", ["a cat", "a dog"]),
    "goes straight on": (" a cat\n5. a dog\n6. a fox", ["a cat", "a dog", "a fox"]),
    "goes straight on in one line": (" a cat 5. a dog 6. a fox", ["a cat", "a dog", "a fox"]),
    "one line": ("1. a cat 2. a dog 3. a fox", ["a cat", "a dog", "a fox"]),
    "one item": ("4. a cat", ["a cat"]),
    "one item without a number": (" a cat", ["a cat"]),
    "json": ('["a cat", "a dog, a fox"]', ["a cat", "a dog, a fox"]),
    "json in a fence": ('Here:\n```json\n["a cat",\n "a dog"]\n```\nBye', ["a cat", "a dog"]),
    "json of objects": ('[{"id": 1, "prompt": "a cat"}, {"id": 2, "prompt": "a dog"}]', ["a cat", "a dog"]),
    "json inside an object": ('{"prompts": ["a cat", "a dog"]}', ["a cat", "a dog"]),
    "json that breaks off": ('["a cat", "a dog", "a fo', ["a cat", "a dog"]),
    "list in a fence": ("```\n4. a cat\n5. a dog\n```", ["a cat", "a dog"]),
    "brackets in an item are no json": (
        '4. a sign ["open"] on a door\n5. a dog',
        ['a sign ["open"] on a door', "a dog"],
    ),
    "nothing": ("", []),
    "only blanks": (" \n\n ", []),
}


@pytest.mark.parametrize("form", FORMS)
def test_defect_01_survives_every_form_of_list(form: str) -> None:
    reply, wanted = FORMS[form]
    assert parse_list(reply, first=4) == wanted


@pytest.mark.parametrize(
    ("reply", "wanted"),
    [
        ("4. a cat\n5. a dog", ["a cat", "a dog"]),
        ("1. a cat\n2. a dog\n3. a fox\n4. an owl", ["an owl"]),
        ("4. a cat\n6. a dog\n7. a fox", ["a cat"]),
        ("4) a cat\n5) a dog", []),
        ("4. floor 4. room of a hotel", ["floor "]),
    ],
)
def test_defect_01_the_released_parser_is_there_on_request(reply: str, wanted: list[str]) -> None:
    assert parse_released(reply, 4) == wanted


def test_a_cut_reply_loses_its_last_entry_only() -> None:
    assert parse_list("4. a cat\n5. a dog with a lo", first=4, truncated=True) == ["a cat"]
    assert parse_list('["a cat", "a do', first=4, truncated=True) == ["a cat"]
    assert parse_list("a ca", first=4, truncated=True) == []


def test_a_thousand_brackets_are_no_json() -> None:
    assert len(parse_list("[" * 100_000)) == 1


def test_clean_leaves_one_line_of_valid_unicode() -> None:
    assert clean("  a\n  **cat** \ud83d ") == "a cat ?"
    assert clean('"a cat",') == "a cat"
    assert clean("_a cat_") == "a cat"


ITEM = (
    st.text("abcdefg ,'", min_size=1, max_size=30)
    .map(lambda text: " ".join(text.split()))
    .filter(lambda text: text[:1].isalpha() and text[-1:].isalpha())
)
MARKS = [
    lambda i: f"{i}. ",
    lambda i: f"{i}) ",
    lambda i: f"({i}) ",
    lambda i: "- ",
    lambda i: "* ",
    lambda i: f"  {i}.  ",
]


@given(
    st.lists(ITEM, min_size=1, max_size=12), st.sampled_from(MARKS), st.integers(1, 90), st.sampled_from(["\n", "\n\n"])
)
def test_any_list_comes_back(items: list[str], mark: object, start: int, gap: str) -> None:
    reply = gap.join(f"{mark(i)}{item}" for i, item in enumerate(items, start))  # type: ignore[operator]
    assert parse_list(reply, first=4) == items


@given(st.lists(ITEM, min_size=1, max_size=12), st.booleans())
def test_any_json_comes_back(items: list[str], indent: bool) -> None:
    assert parse_list(json.dumps(items, indent=2 if indent else None), first=4) == items


PIECES = st.sampled_from(
    ["1. ", "2)", "4. ", "5. ", "- ", "\n", " ", "[", "]", '"', "{", "}", "```", ",", ":", "a", "**", "é", "\ud83d"]
)


@given(st.lists(PIECES, max_size=60).map("".join), st.integers(1, 9), st.booleans())
def test_no_reply_breaks_it(reply: str, first: int, truncated: bool) -> None:
    found = parse_list(reply, first, truncated)
    assert all(entry and entry == entry.strip() and "\n" not in entry for entry in found)
    parse_released(reply, first)
