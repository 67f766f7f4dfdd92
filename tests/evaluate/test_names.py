"""Which prompt an image belongs to: the layouts of the benchmarks and of SELMA itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selma_plugins.images.names import match_names

from selma_core.data import ImageRequest, Prompt
from selma_core.errors import UserError

PROMPTS = [
    Prompt(id="tifa160_1", text="a red car"),
    Prompt(id="tifa160_12", text="a blue bench."),
    Prompt(id="00003", text="a photo of a bench"),
    Prompt(id="anime_00007", text="a hyena", meta={"group": "anime"}),
    Prompt(id="shape_000", text="an oblong cucumber and a teardrop plum", meta={"group": "shape"}),
    Prompt(id="p/q 1", text="a star"),
]


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        ("tifa160_1.jpg", ("tifa160_1", 0)),
        ("tifa160_12.png", ("tifa160_12", 0)),
        ("tifa160_1_2.png", ("tifa160_1", 2)),
        ("tifa160_1-2.png", ("tifa160_1", 2)),
        ("deep/er/tifa160_12-0.webp", ("tifa160_12", 0)),
        ("00003/samples/0002.png", ("00003", 2)),
        ("00003/0002.png", ("00003", 2)),
        ("00003/00003.png", ("00003", 3)),
        ("00003.png", ("00003", 0)),
        ("anime/00007.jpg", ("anime_00007", 0)),
        ("out/anime/00007_3.jpg", ("anime_00007", 3)),
        ("samples/an oblong cucumber and a teardrop plum_000004.png", ("shape_000", 4)),
        ("a blue bench._000000.png", ("tifa160_12", 0)),
        ("A_red_car.png", ("tifa160_1", 0)),
        ("p_q_1-3.png", ("p/q 1", 3)),
        ("p/q 1.png", ("p/q 1", 0)),
    ],
)
def test_layouts(file: str, wanted: tuple[str, int]) -> None:
    found = match_names([file], PROMPTS)
    assert found.samples == {wanted[0]: {wanted[1]: file}}
    assert found.unmatched == ()


@pytest.mark.parametrize(
    "file", ["0007.png", "tifa160.png", "tifa160_.png", "a green car_000000.png", "00004/0000.png"]
)
def test_nothing_is_guessed(file: str) -> None:
    found = match_names([file, "tifa160_1.png"], PROMPTS)
    assert found.unmatched == (file,)
    assert list(found.samples) == ["tifa160_1"]


def test_genevals_overview_is_no_sample_and_no_stray() -> None:
    found = match_names(["00003/grid.png", "00003/samples/0000.png", "grid.png"], PROMPTS)
    assert found.unmatched == ("grid.png",)


def test_one_text_under_two_ids_is_told_apart_by_its_folder_or_not_at_all() -> None:
    twins = [Prompt(id=f"{group}_000", text="a dog", meta={"group": group}) for group in ("color", "shape")]
    assert match_names(["shape/samples/a dog_000001.png"], twins).samples == {
        "shape_000": {1: "shape/samples/a dog_000001.png"}
    }
    assert match_names(["a dog_000001.png"], twins).unmatched == ("a dog_000001.png",)


@pytest.mark.parametrize("files", [("tifa160_1.png", "tifa160_1_0.jpg"), ("a/tifa160_1.png", "b/tifa160_1.png")])
def test_one_sample_twice_is_an_error_that_names_both(files: tuple[str, str]) -> None:
    with pytest.raises(UserError, match="image 0 of prompt 'tifa160_1' is there twice") as caught:
        match_names(files, PROMPTS)
    assert all(file in str(caught.value) for file in files)


IDS = st.text(st.sampled_from("ab1_-"), min_size=1, max_size=6)


@given(ids=st.lists(IDS, unique=True, min_size=1, max_size=6), k=st.integers(0, 30))
def test_what_selma_writes_is_read_back(ids: list[str], k: int) -> None:
    """However ids look like each other: `{id}-{k}.png` is the prompt's, unless that is an id itself."""
    prompts = [Prompt(id=key, text=f"text {number}") for number, key in enumerate(ids)]
    for prompt in prompts:
        name = ImageRequest(prompt=prompt, k=k, seed=0).file_name
        found = match_names([name], prompts).samples
        stem = name.removesuffix(".png")
        assert found == ({stem: {0: name}} if stem in ids else {prompt.id: {k: name}})


@given(files=st.permutations(["tifa160_1.png", "tifa160_12_3.png", "00003/0001.png", "x.png", "anime/00007.png"]))
def test_the_order_of_the_files_does_not_matter(files: list[str]) -> None:
    assert match_names(files, PROMPTS) == match_names(sorted(files), PROMPTS)
