"""DPG-Bench: each bug of the released arithmetic by name, its repair, and grids of four images."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from selma_plugins.evaluation.dpg import Dpg
from selma_plugins.evaluation.dpg_rules import RULES, rule_of
from selma_plugins.evaluation.options import DPG_RULES, DpgOptions
from selma_plugins.evaluation.rules import Question
from selma_plugins.evaluation.rules import rule_of as dsg_rule

from selma_core.data import ChatReply, ChatRequest, Entry, ImageItem, ImagePart, Prompt, Summary
from selma_core.errors import UnknownNameError, UserError
from selma_core.options import Slot
from selma_core.protocols import Evaluator
from selma_core.testing import FakeContext, check_evaluator

HEADER = (
    "item_id,text,keywords,proposition_id,dependency,category_broad,category_detailed,tuple,question_natural_language\n"
)
# first: its first question is the file's first row, which the second depends on; lone: depends on no skipped row.
ROWS = (
    ("first", 1, "0", "entity", "whole", "Is there a fox?"),
    ("first", 2, "1", "attribute", "color", "Is the fox red?"),
    ("lone", 1, "0", "entity", "whole", "Is there a teapot?"),
    ("lone", 2, "1", "attribute", "color", "Is the teapot blue?"),
    ("lone", 3, "2", "global", "-", "Is the blue matt?"),
    ("late", 1, "2", "attribute", "color", "Is the bowl green?"),
    ("late", 2, "3", "entity", "whole", "Is there a bowl?"),
    ("late", 3, "0", "entity", "whole", "Is there a table?"),
)
COLOURS = ("red", "lime", "blue", "white")


class Judge:
    """Says no to the questions in `no`, nothing to those in `lost`; looks at the picture when it is told to."""

    identity = "fake:judge"

    def __init__(self, no: Sequence[str] = (), lost: Sequence[str] = (), see: Callable[[Path], bool] | None = None):
        self.no, self.lost, self.see = no, lost, see
        self.asked: list[tuple[str, str]] = []

    def reply(self, requests: Sequence[ChatRequest]) -> list[ChatReply]:
        return [self._one(request) for request in requests]

    def _one(self, request: ChatRequest) -> ChatReply:
        part = request.messages[-1].parts[0]
        assert isinstance(part, ImagePart)
        question = request.messages[-1].text.splitlines()[0]
        self.asked.append((part.path.name, question))
        if question in self.lost:
            return ChatReply(error="timed out")
        seen = self.see(part.path) if self.see else True
        return ChatReply(text="yes" if seen and question not in self.no else "no")


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    path = tmp_path / "tiny.csv"
    lines = [f"{i},the text of {i},,{q},{d},{b},{c},t,{text}\n" for i, q, d, b, c, text in ROWS]
    path.write_text(HEADER + "".join(lines))
    return Entry(section="benchmarks", name="tiny", provider="test", data={}, pin="0", path=path)


def items(*names: str, k: int = 1, folder: Path = Path()) -> list[ImageItem]:
    prompts = [Prompt(id=name, text=f"the text of {name}") for name in names or ("first", "lone", "late")]
    return [
        ImageItem(item_id=f"{p.id}-{i}", prompt=p, path=folder / f"{p.id}-{i}.png", sha256="0", k=i)
        for p in prompts
        for i in range(k)
    ]


def options(**values: Any) -> DpgOptions:
    return DpgOptions(benchmark="tiny", judge=Slot("fake"), **values)


def context_of(judge: Any, entry: Entry, workdir: Path = Path()) -> FakeContext:
    entries = {("benchmarks", "tiny"): entry}
    return FakeContext(workdir=workdir, components={("chat_model", "fake"): judge}, entries=entries)


def summaries(
    judge: Judge, entry: Entry, images: Sequence[ImageItem], workdir: Path = Path(), **values: Any
) -> dict[str, Summary]:
    evaluator, context = Dpg(options(**values)), context_of(judge, entry, workdir)
    specs = evaluator.prepare([image.prompt for image in images], context)
    rows = list(evaluator.observe(images, specs, context))
    return {rule: evaluator.aggregate(rows, specs, rule) for rule in DPG_RULES}


def values(summary: Summary) -> dict[str, float | None]:
    return {prompt.prompt_id: prompt.value for prompt in summary.prompts}


def test_bug_1_the_first_row_of_the_file_is_skipped(entry: Entry) -> None:
    """Its children then depend on a row that is not there, which drops their image from the mean."""
    found = summaries(Judge(no=["Is there a fox?"]), entry, items())
    assert values(found["official"]) == {"first": None, "lone": 1.0, "late": 1.0}
    assert values(found["fixed"]) == {"first": 0.0, "lone": 1.0, "late": 1.0}
    assert (found["official"].mean, found["fixed"].mean) == (100.0, pytest.approx(200 / 3))


def test_bug_1_other_questions_of_the_first_prompt_count(entry: Entry) -> None:
    assert entry.path is not None
    entry.path.write_text(
        entry.path.read_text().replace("first,the text of first,,2,1,", "first,the text of first,,2,0,")
    )
    found = summaries(Judge(no=["Is there a fox?"]), entry, items("first"))
    assert values(found["official"]) == {"first": 1.0}
    assert values(found["fixed"]) == {"first": 0.5}
    assert found["official"].categories == {"attribute": 100.0, "attribute/color": 100.0}


def test_bug_1_only_the_files_first_row_is_meant_whatever_prompts_are_drawn(entry: Entry) -> None:
    found = summaries(Judge(no=["Is there a teapot?"]), entry, items("lone", "late"))
    assert values(found["official"]) == {"lone": 0.0, "late": 1.0}


def test_bug_2_an_exception_drops_the_image(entry: Entry) -> None:
    """One failed call among three: officially the image is gone, repaired it costs what depends on it."""
    found = summaries(Judge(no=["Is there a table?"], lost=["Is the blue matt?"]), entry, items("lone", "late"))
    assert values(found["official"]) == {"lone": None, "late": pytest.approx(1 / 3)}
    assert values(found["fixed"]) == {"lone": 1.0, "late": 0.0}
    assert found["official"].coverage == found["fixed"].coverage == pytest.approx(5 / 6)


@pytest.mark.parametrize("field", ["7", "1; 2", "teapot"])
def test_bug_2_so_does_a_dependency_that_leads_nowhere(entry: Entry, field: str) -> None:
    assert entry.path is not None
    entry.path.write_text(entry.path.read_text().replace("lone,,3,2,", f"lone,,3,{field},"))
    found = summaries(Judge(no=["Is the teapot blue?"]), entry, items("lone"))
    assert values(found["official"]) == {"lone": None}
    assert found["official"].categories == {}
    assert values(found["fixed"]) == {"lone": pytest.approx(2 / 3)}


def test_bug_3_class_scores_are_of_raw_answers(entry: Entry) -> None:
    found = summaries(Judge(no=["Is there a teapot?"]), entry, items("lone"))
    assert found["official"].mean == found["fixed"].mean == 0.0
    assert found["official"].categories["attribute"] == 100.0
    assert found["fixed"].categories == {
        "attribute": 0.0,
        "attribute/color": 0.0,
        "entity": 0.0,
        "entity/whole": 0.0,
        "global": 0.0,
    }


def test_bug_3_class_scores_are_of_the_last_crop_only(entry: Entry) -> None:
    judge = Judge(see=lambda path: path.stem == "lone-3")
    found = summaries(judge, entry, items("lone", k=4))
    assert found["official"].mean == found["fixed"].mean == 25.0
    assert found["official"].categories["entity"] == 100.0
    assert found["fixed"].categories["entity"] == 25.0


def test_bug_4_a_parent_in_a_later_row_has_not_cascaded_yet(entry: Entry) -> None:
    """The bowl (row 2) depends on the table (row 3), its colour (row 1) on the bowl, which row 1 still sees count."""
    found = summaries(Judge(no=["Is there a table?"]), entry, items("late"))
    assert values(found["official"]) == {"late": pytest.approx(1 / 3)}
    assert values(found["fixed"]) == {"late": 0.0}


def test_where_nothing_is_amiss_the_rules_agree(entry: Entry) -> None:
    found = summaries(Judge(no=["Is the teapot blue?"]), entry, items("lone"))
    assert values(found["official"]) == values(found["fixed"]) == {"lone": pytest.approx(1 / 3)}


def write_grid(path: Path, colours: Sequence[str], side: int = 4) -> None:
    image = Image.new("RGB", (2 * side, 2 * side))
    for index, colour in enumerate(colours):
        image.paste(Image.new("RGB", (side, side), colour), (index % 2 * side, index // 2 * side))
    image.save(path)


def colour_of(path: Path) -> tuple[int, ...]:
    with Image.open(path) as image:
        (found,) = image.getcolors() or [(0, (0, 0, 0))]
    return found[1]  # type: ignore[return-value]


def test_a_grid_is_cut_row_by_row(entry: Entry, tmp_path: Path) -> None:
    write_grid(tmp_path / "lone-0.png", COLOURS)
    seen: list[tuple[int, ...]] = []

    def see(path: Path) -> bool:
        seen.append(colour_of(path))
        return True

    judge = Judge(see=see)
    found = summaries(judge, entry, items("lone", folder=tmp_path), tmp_path, grid=2)
    assert seen[::3] == [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]
    assert [name for name, _ in judge.asked[::3]] == [f"lone-0-{i}.png" for i in range(4)]
    assert (found["official"].mean, found["official"].n_images, found["official"].n_atoms) == (100.0, 1, 12)
    assert list((tmp_path / "crops").iterdir()) == []


@pytest.mark.parametrize("dark", [0, 3])
def test_a_grid_and_four_images_give_the_same_numbers(entry: Entry, tmp_path: Path, dark: int) -> None:
    colours = ["black" if i == dark else "white" for i in range(4)]
    write_grid(tmp_path / "lone-0.png", colours)
    judge = Judge(no=["Is the teapot blue?"], see=lambda path: colour_of(path) == (255, 255, 255))
    grid = summaries(judge, entry, items("lone", folder=tmp_path), tmp_path, grid=2)
    for i, colour in enumerate(colours):
        Image.new("RGB", (4, 4), colour).save(tmp_path / f"lone-{i}.png")
    single = summaries(judge, entry, items("lone", k=4, folder=tmp_path), tmp_path)
    for rule in DPG_RULES:
        assert grid[rule].mean == pytest.approx(25.0)
        assert (grid[rule].mean, grid[rule].categories) == (pytest.approx(single[rule].mean), single[rule].categories)
        assert grid[rule].coverage == single[rule].coverage == 1.0


def test_what_is_no_grid_is_named(entry: Entry, tmp_path: Path) -> None:
    Image.new("RGB", (5, 4)).save(tmp_path / "lone-0.png")
    with pytest.raises(UserError, match=r"lone-0\.png is 5 x 4 pixels, which is no 2 x 2 grid"):
        summaries(Judge(), entry, items("lone", folder=tmp_path), tmp_path, grid=2)


def test_timeouts_lower_coverage_not_the_mean(entry: Entry) -> None:
    class Flaky(Judge):
        def _one(self, request: ChatRequest) -> ChatReply:
            reply = super()._one(request)
            return ChatReply(error="timed out") if random.Random(repr(self.asked[-1])).random() < 0.2 else reply

    found = summaries(Flaky(), entry, items(k=8))
    for rule in DPG_RULES:
        assert found[rule].mean == 100.0
        assert 0.6 < found[rule].coverage < 0.95


@st.composite
def crops(draw: st.DrawFn) -> tuple[Mapping[str, Any], list[list[Question]]]:
    """Up to four crops of up to 6 questions, each depending on earlier ones only."""
    count = draw(st.integers(1, 6))
    fields = [str(draw(st.integers(0, i))) for i in range(count)]
    spec = {"questions": [{"id": str(i + 1)} for i in range(count)]}
    answers = st.lists(st.booleans(), min_size=count, max_size=count)
    found = draw(st.lists(answers, min_size=1, max_size=4))
    return spec, [[Question(str(i + 1), fields[i], float(yes)) for i, yes in enumerate(row)] for row in found]


@given(crops())
def test_with_parents_in_earlier_rows_both_rules_are_dsgs_transitive_one(
    drawn: tuple[Mapping[str, Any], list[list[Question]]],
) -> None:
    spec, images = drawn
    expected = [dsg_rule("transitive").image(crop) or 0.0 for crop in images]
    for rule in RULES.values():
        assert rule.image(spec, images) == pytest.approx(sum(expected) / len(expected))


def test_names_and_options(entry: Entry) -> None:
    assert set(RULES) == set(DPG_RULES)
    assert Dpg(options()).info.rules == ("fixed", "official")
    assert Dpg(options(rule="official")).info.rules == ("official", "fixed")
    assert isinstance(Dpg(options()), Evaluator)
    with pytest.raises(UnknownNameError, match="did you mean 'fixed'"):
        rule_of("fixd")
    with pytest.raises(UnknownNameError, match=r"'tiny' \(3 prompts\) has no prompt 'x'"):
        Dpg(options()).prepare([Prompt(id="x", text="x")], context_of(None, entry))


def test_conformance(entry: Entry, tmp_path: Path) -> None:
    judge = Judge(no=["Is the teapot blue?"], lost=["Is there a bowl?"])
    check_evaluator(Dpg, options(), items=items(k=2), workdir=tmp_path, context=context_of(judge, entry, tmp_path))


def test_scoring_imports_no_torch_and_no_pillow() -> None:
    code = (
        "import sys; from selma_plugins.evaluation.dpg import Dpg;"
        "from selma_plugins.evaluation.options import DpgOptions;"
        "from selma_core.options import Slot; from selma_core.data import Atom, ItemAtoms;"
        "d = Dpg(DpgOptions(benchmark='b', judge=Slot('j')));"
        "q = dict(id='1', question='?', dependency='0', category_broad='e', category_detailed='w');"
        "spec = {'questions': [q], 'crops': 1}; atoms = (Atom(key='1', value=1.0),);"
        "rows = [ItemAtoms(item_id='p-0', prompt_id='p', k=0, atoms=atoms)];"
        "assert all(d.score(atoms, spec, rule) == 1.0 for rule in d.info.rules);"
        "assert all(d.aggregate(rows, {'p': spec}, rule).mean == 100 for rule in d.info.rules);"
        "heavy = {'torch', 'transformers', 'PIL', 'scipy'} & sys.modules.keys(); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_spec_marks_the_files_first_row(entry: Entry) -> None:
    specs = Dpg(options(grid=2)).prepare([item.prompt for item in items()], context_of(None, entry))
    marked = {key: [q["id"] for q in spec["questions"] if q.get("first_row")] for key, spec in specs.items()}
    assert marked == {"first": ["1"], "lone": [], "late": []}
    assert {spec["crops"] for spec in specs.values()} == {4}
