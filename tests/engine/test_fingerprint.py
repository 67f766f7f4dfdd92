"""Fingerprints: equal for equal results, different for anything that matters."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selma_core.graph.fingerprint import canonical, fingerprint
from selma_core.session import Session

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)


def shuffled(value: object) -> object:
    """The same value with every mapping's order turned around, lists as tuples."""
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    return tuple(map(shuffled, value)) if isinstance(value, list) else value


@given(VALUES)
def test_the_order_of_mappings_does_not_matter(value: object) -> None:
    assert canonical(value) == canonical(shuffled(value))


@given(VALUES, VALUES)
def test_different_values_have_different_text(one: object, other: object) -> None:
    assert (canonical(one) == canonical(other)) == (typed(one) == typed(other))


def typed(value: object) -> object:
    """The value with the types that JSON keeps apart."""
    if isinstance(value, dict):
        return {key: typed(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [typed(entry) for entry in value]
    return type(value).__name__, repr(value)


@pytest.mark.parametrize("value", [{1: "a"}, {"a": object()}, float("nan"), float("inf"), {"a": {1, 2}}, Path("x")])
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        canonical(value)


def test_a_fingerprint_is_the_same_in_another_process() -> None:
    code = "from selma_core.graph.fingerprint import fingerprint as f; print(f({'b': [1, 2.5], 'ä': {'x', }.pop()}))"
    hashes = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert hashes == {fingerprint({"ä": "x", "b": [1, 2.5]}) + "\n"}


def prints(session: Session) -> dict[str, str]:
    return {node.id: node.fingerprint for node in session.graph}


@pytest.mark.parametrize(
    "override",
    [
        "stages.images.options.batch_size=7",
        "stages.prompts.options.batch_size=1",
        "runtime.executor=process",
        "runtime.threads=3",
        "runtime.device=cuda:1",
        "stages.score.options.judge.options.api_key_env=OTHER",
        "summary=other words",
        "stages.score.options.judge=fake_judge",  # the default, written out
    ],
)
def test_what_changes_no_result_changes_no_fingerprint(session: Callable[..., Session], override: str) -> None:
    assert prints(session("light")) == prints(session("light", [override]))


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("stages.score.options.judge.options.strict=false", {"score", "best"}),
        ("stages.images.options.shade=9", {"images", "score", "best"}),
        ("seed=1", {"prompts", "images", "score", "best"}),
        ("stages.prompts.options.n=6", {"prompts", "images", "score", "best"}),
    ],
)
def test_what_matters_changes_the_stage_and_what_follows(
    session: Callable[..., Session], override: str, changed: set[str]
) -> None:
    before, after = prints(session("light")), prints(session("light", [override]))
    assert {name for name in before if before[name] != after[name]} == changed


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            'yield SelectorRecord(name="fake_first", summary="x"',
            'yield SelectorRecord(revision=2, name="fake_first", summary="x"',
        ),
        ("# end", "# another end"),  # the source of a single file counts as a whole
    ],
)
def test_a_new_revision_or_source_changes_it(session: Callable[..., Session], folder: Path, old: str, new: str) -> None:
    plugin = folder / "fakes.py"
    plugin.write_text(plugin.read_text() + "\n# end\n")
    before = prints(session("light"))["best"]
    plugin.write_text(plugin.read_text().replace(old, new))
    assert prints(session("light"))["best"] != before


def test_the_order_of_options_and_stages_does_not_matter(session: Callable[..., Session], folder: Path) -> None:
    import yaml

    before = prints(session("light"))
    data = yaml.safe_load((folder / "light.yaml").read_text())
    (folder / "light.yaml").write_text(yaml.safe_dump(shuffled(data) | {"plugins": data["plugins"]}, sort_keys=True))
    assert prints(session("light")) == before


def test_the_order_of_inputs_matters(session: Callable[..., Session]) -> None:
    more = ["stages.more={kind: prompt_source, use: fake_prompts, options: {skill: more}}"]
    one = prints(session("light", [*more, "stages.images.from.prompts=[prompts, more]"]))
    other = prints(session("light", [*more, "stages.images.from.prompts=[more, prompts]"]))
    assert one["images"] != other["images"]
    assert one["prompts"] == other["prompts"]
