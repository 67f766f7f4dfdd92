"""The rules each kind of stage is held to, with plugins that break them one by one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from selma_core.result import Run

Start = Callable[..., Run]


def failure(start: Start, folder: Path, stage: str, spoil: str = "", *overrides: str) -> str:
    """The error of a stage after a line was added to the plugin file."""
    with (folder / "fakes.py").open("a") as file:
        file.write(f"\n{spoil}\n")
    error = start("light", overrides).node(stage).error
    assert error is not None
    return error


def test_defect_03_every_prompt_is_drawn(start: Start) -> None:
    run = start("light", ["stages.prompts.options.n=10", "stages.images.options={k: 1, batch_size: 4}"])
    assert [item.prompt.id for item in run.images("images")] == [f"p-{i}" for i in range(10)]


@pytest.mark.parametrize(
    ("stage", "spoil", "words"),
    [
        ("prompts", "Prompts.prompts = lambda self, job: iter(())", "gave no prompts"),
        ("images", "Images.images = lambda self, job: iter(())", "left out 10 of 10 images, first: p-0-0.png"),
        (
            "images",
            "_all = Images.images\nImages.images = lambda self, job: [*_all(self, job)] * 2",
            "gave an image that was not asked for: p-0-0.png",
        ),
        ("score", "Evaluate.observe = lambda self, *rest: iter(())", "left out 10 of 10 images, first: p-0-0"),
        (
            "score",
            "_all = Evaluate.observe\nEvaluate.observe = lambda self, *rest: [*_all(self, *rest)] * 2",
            "was not given (or twice): p-0-0",
        ),
        ("best", "First.select = lambda self, job: []", "kept none of 10 images"),
        ("best", "First.select = lambda self, job: [(job.items[0], {})] * 2", "two images of one file name"),
        (
            "best",
            "First.select = lambda self, job: [(attrs.evolve(job.items[0], k=9), {})]",
            "kept an image that it was not given: p-0-0",
        ),
        (
            "best",
            "First.select = lambda self, job: [(attrs.evolve(i, prompt=attrs.evolve(i.prompt, text='x')), {}) "
            "for i in job.items]",
            "kept an image that it was not given: p-0-0",
        ),
        ("images", "Images.images = None", "TypeError"),
    ],
)
def test_a_plugin_that_breaks_the_rules_is_told(start: Start, folder: Path, stage: str, spoil: str, words: str) -> None:
    assert words in failure(start, folder, stage, spoil)


def test_prompt_ids_must_be_unique(start: Start, folder: Path) -> None:
    assert "gave the id 'same' twice" in failure(start, folder, "prompts", "", "stages.prompts.options.clash=true")


def test_prompt_sets_that_share_ids_are_an_error(start: Start, folder: Path) -> None:
    twin = "stages.twin={kind: prompt_source, use: fake_prompts, options: {n: 3}}"
    error = failure(start, folder, "images", "", twin, "stages.images.from.prompts=[prompts, twin]")
    assert "prompt id 'p-0' is in both" in error


def test_prompt_sets_are_read_one_after_the_other(start: Start) -> None:
    more = "stages.more={kind: prompt_source, use: fake_prompts, options: {n: 2, skill: more}}"
    run = start("light", [more, "stages.images.from.prompts=[more, prompts]", "stages.images.options.k=1"])
    names = [item.prompt.id for item in run.images("images")]
    assert names == ["more-0", "more-1", "p-0", "p-1", "p-2", "p-3", "p-4"]


def test_ids_that_would_share_a_file_are_an_error(start: Start, folder: Path) -> None:
    spoil = "_all = Prompts.prompts\ndef _odd(self, job):\n    for batch in _all(self, job):\n"
    spoil += "        odd = [attrs.evolve(p, id=['a b', 'a_b', 'c', 'd', 'e'][p.meta['i']]) for p in batch.accepted]\n"
    spoil += "        yield attrs.evolve(batch, accepted=tuple(odd))\n"
    spoil += "Prompts.prompts = _odd"
    assert "would get one file name" in failure(start, folder, "images", spoil)


def test_experts_of_different_bases_are_not_merged(start: Start, folder: Path) -> None:
    with (folder / "fakes.py").open("a") as file:
        file.write("\n_train = Train.train\ndef _other(self, job):\n    made = _train(self, job)\n")
        file.write(
            "    return attrs.evolve(made, metadata={'base': job.images[0].prompt.skill})\nTrain.train = _other\n"
        )
    error = start("selma").node("merge").error
    assert error is not None
    assert "different base models: count (" in error


def test_failed_observations_are_counted_aloud(start: Start, folder: Path) -> None:
    with (folder / "fakes.py").open("a") as file:
        file.write("\n_see = Evaluate.observe\ndef _blind(self, *rest):\n    for row in _see(self, *rest):\n")
        file.write("        bad = attrs.evolve(row.atoms[1], value=None, status='error')\n")
        file.write("        yield attrs.evolve(row, atoms=(row.atoms[0], bad))\nEvaluate.observe = _blind\n")
    run = start("light")
    assert run.node("score").warnings == ("10 of 20 observations failed; they lower the coverage, not the score",)


def test_specs_of_the_first_attempt_are_kept(start: Start, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (folder / "fakes.py").open("a") as file:
        file.write("\nEvaluate.prepare = lambda self, prompts, context: {p.id: {'at': time.time()} for p in prompts}\n")
        file.write("_see = Evaluate.observe\ndef _checked(self, items, specs, context):\n")
        file.write("    context.warn(str(specs['p-0']['at']))\n    yield from _see(self, items, specs, context)\n")
        file.write("Evaluate.observe = _checked\n")
    monkeypatch.setenv("FAKE_FAIL", "scores:p-2-0")
    seen: list[str] = []
    start("light", on_event=lambda event: seen.append(getattr(event, "message", "")))
    monkeypatch.delenv("FAKE_FAIL")
    run = start("light")
    assert run.ok
    assert str(run.scores("score").specs["p-0"]["at"]) in seen
