"""Recipes: names and files, extends, overrides, variants, and everything that can be wrong with their shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from selma_core.config import Recipe, load_recipe
from selma_core.errors import ConfigError, ConfigErrors, UnknownNameError
from selma_core.registry import Registry
from tests.core.support import MakeRegistry

BASE = """
summary: a base
seed: 3
axes: {skill: [paragraph, count]}
stages:
  prompts: {kind: prompt_source, use: grammar, foreach: skill, options: {n: 10}}
  merge:
    kind: merge_strategy
    use: linear
    from: {adapters: prompts}
    options: {scale: 2.0}
report: {scores: merge}
"""

CHILD = """summary: a child
extends: base
stages:
  merge: {options: {rank: 4}}
  prompts: null
"""


@pytest.fixture
def registry(make_registry: MakeRegistry) -> Registry:
    return make_registry(  # type: ignore[no-any-return]
        {
            "recipes/base.yaml": BASE,
            "recipes/child.yaml": CHILD,
            "recipes/grandchild.yaml": "summary: below\nextends: child\nseed: 5\n",
            "recipes/loop_a.yaml": "summary: a\nextends: loop_b\n",
            "recipes/loop_b.yaml": "summary: b\nextends: loop_a\n",
            "recipes/orphan.yaml": "summary: o\n\nextends: bsae\n",
        }
    )


def load(registry: Registry, name: str | Path = "base", *overrides: str, **rest: Any) -> Recipe:
    return load_recipe(name, overrides, registry=registry, **rest)


def problems(registry: Registry, *overrides: str) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        load(registry, "base", *overrides)
    return str(caught.value).splitlines()


def test_recipe_of_the_registry(registry: Registry) -> None:
    recipe = load(registry)
    assert (recipe.name, recipe.data["seed"], recipe.data["runtime"]) == ("base", 3, {})
    assert recipe.path is not None
    assert recipe.path.name == "base.yaml"
    assert recipe.origins["stages.merge.options.scale"] == "recipe base (base.yaml:11)"


def test_extends_merges_and_null_removes_a_stage(registry: Registry) -> None:
    recipe = load(registry, "grandchild")
    assert recipe.name == "grandchild"
    assert recipe.data["seed"] == 5
    assert recipe.data["summary"] == "below"
    assert list(recipe.data["stages"]) == ["merge"]
    assert recipe.data["stages"]["merge"]["options"] == {"scale": 2.0, "rank": 4}
    assert recipe.origins["stages.merge.options.rank"] == "recipe child (child.yaml:4)"


def test_extends_by_relative_path(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "one.yaml").write_text(BASE)
    (tmp_path / "sub" / "two.yaml").write_text("extends: ../one.yaml\nseed: 9\n")
    assert load(registry, tmp_path / "sub" / "two.yaml").data["seed"] == 9


def test_circle_of_extends_is_named(registry: Registry) -> None:
    with pytest.raises(ConfigError, match=r"loop_b\.yaml:2: extends: .* circle: loop_a -> loop_b -> loop_a"):
        load(registry, "loop_a")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bsae", "unknown recipe 'bsae'; did you mean 'base'"),
        ("orphan", r"orphan\.yaml:3: extends: unknown recipe 'bsae'; did you mean 'base'"),
        ("recipes/base.yaml", "does not exist; a recipe of the registry is named without folder: base"),
    ],
)
def test_unknown_recipe(registry: Registry, name: str, expected: str) -> None:
    with pytest.raises(UnknownNameError, match=expected):
        load(registry, name)


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("seed=7", ["seed"], 7),
        ("stages.merge.options.scale=1e-3", ["stages", "merge", "options", "scale"], 1e-3),
        ("stages.merge.options.weights=[1, 2.5]", ["stages", "merge", "options", "weights"], [1, 2.5]),
        ("stages.merge.options.text='a=b: c'", ["stages", "merge", "options", "text"], "a=b: c"),
        ("stages.merge.options.text=", ["stages", "merge", "options", "text"], ""),
        ("stages.merge.options.skill={skill}", ["stages", "merge", "options", "skill"], "{skill}"),
        ("stages.merge.options.glob=*.png", ["stages", "merge", "options", "glob"], "*.png"),
        ("stages.prompts[count].options.n=8", ["stages", "prompts[count]", "options", "n"], 8),
        ("stages.prompts[a.b].options.n=8", ["stages", "prompts[a.b]", "options", "n"], 8),
    ],
)
def test_override(registry: Registry, override: str, path: list[str], value: Any) -> None:
    recipe = load(registry, "base", override)
    found: Any = recipe.data
    for key in path:
        found = found[key]
    assert found == value
    assert type(found) is type(value)
    assert recipe.origins[".".join(path)] == "the command line"


@pytest.mark.parametrize("override", ["seed", "=3", "a..b=1", "stages.merge.options.x=[1, 2"])
def test_override_that_cannot_be_read(registry: Registry, override: str) -> None:
    with pytest.raises(ConfigErrors, match=r"a\.b\.c=value|is not a YAML value"):
        load(registry, "base", override)


def test_override_of_use_drops_the_options_of_the_file(registry: Registry) -> None:
    assert load(registry, "base", "stages.merge.use=ties").data["stages"]["merge"] == {
        "kind": "merge_strategy",
        "use": "ties",
        "from": {"adapters": "prompts"},
    }


def test_variant_is_above_the_file_and_below_the_command_line(registry: Registry) -> None:
    variant = {"stages.merge.options.rank": 8, "stages": {"merge": {"options": {"scale": 3.0}}}, "seed": 1}
    recipe = load(registry, "base", "seed=2", variant=variant)
    assert recipe.data["seed"] == 2
    assert recipe.data["stages"]["merge"]["options"] == {"scale": 3.0, "rank": 8}
    assert recipe.origins["stages.merge.options.rank"] == "the variant"


def test_plugin_files_are_relative_to_their_recipe(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(BASE + "plugins: {files: [mine.py]}\n")
    recipe = load(registry, tmp_path / "r.yaml")
    assert recipe.data["plugins"]["files"] == [str(tmp_path / "mine.py")]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("sede=1", "sede: unknown key of a recipe (set on the command line); did you mean 'seed'?"),
        ("seed=x", "seed: must be an integer of at least 0, not 'x' (set on the command line)"),
        ("seed=-1", "seed: must be an integer of at least 0, not -1 (set on the command line)"),
        ("stages.mrge.use=ties", "stages.mrge: unknown stage (set on the command line); did you mean 'merge'?"),
        (
            "stages.mrge[x].options.a=1",
            "stages.mrge[x]: unknown stage (set on the command line); did you mean 'merge'?",
        ),
        (
            "stages.merge.option.x=1",
            "stages.merge.option: unknown key of a stage (set on the command line); did you mean 'options'?",
        ),
        (
            "stages.merge.kind=merge_stratgy",
            "stages.merge.kind: unknown kind of stage 'merge_stratgy' (set on the command line); "
            "did you mean 'merge_strategy'?",
        ),
        (
            "stages.merge.foreach=skil",
            "stages.merge.foreach: unknown axis 'skil' (set on the command line); did you mean 'skill'?",
        ),
        ("stages.merge.from=prompts", "stages.merge.from: must be a mapping port -> stage, not 'prompts' (set on"),
        ("stages.merge.from.adapters=3", "stages.merge.from.adapters: must be a stage, a node, or a list of these"),
        ("stages.merge.options=3", "stages.merge.options: must be a mapping, not 3 (set on the command line)"),
        ("stages.new.kind=evaluator", "stages.new: needs 'use', the name of a plugin"),
        ("axes.skill=[]", "axes.skill: must be a list of values"),
        ("axes.skill=[a, a]", "axes.skill: a value is written twice (set on the command line)"),
        (
            "axes.variant={v: {mrge: {use: ties}}}",
            "axes.variant.v.mrge: unknown stage (set on the command line); did you mean 'merge'?",
        ),
        ("axes.variant={v: {merge: {kind: evaluator}}}", "axes.variant.v.merge.kind: unknown key here (set on"),
        (
            "runtime.thread=2",
            "runtime.thread: unknown key of runtime (set on the command line); did you mean 'threads'?",
        ),
        ("runtime.threads=0", "runtime.threads: must be an integer of at least 1, not 0 (set on the command line)"),
        (
            "report.headlin=dsg",
            "report.headlin: unknown key of report (set on the command line); did you mean 'headline'?",
        ),
        ("plugins.files=mine.py", "plugins.files: must be a list of files, not 'mine.py' (set on the command line)"),
        (
            "stages.merge.options.key=${oc.env:HOME}",
            "stages.merge.options.key: '${oc.env:HOME}' holds '${': values are plain data, "
            "nothing is read from outside (set on the command line)",
        ),
        ("stages=null", "stages: a recipe needs at least one stage"),
    ],
)
def test_wrong_shape(registry: Registry, override: str, expected: str) -> None:
    (line,) = problems(registry, override)
    assert line.startswith(expected)


def test_all_errors_at_once_with_the_layer_of_each(registry: Registry, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(BASE.replace("report:", "reprot:").replace("foreach: skill", "foreach: [skill, size]"))
    with pytest.raises(ConfigErrors) as caught:
        load(registry, file, "seed=x", "stages.merge.usee=ties")
    lines = [str(error) for error in caught.value.errors]
    assert lines == [
        "reprot: unknown key of a recipe (set by recipe bad (bad.yaml:12)); did you mean 'report'?",
        "seed: must be an integer of at least 0, not 'x' (set on the command line)",
        "stages.prompts.foreach: unknown axis 'size' (set by recipe bad (bad.yaml:6)); known: skill",
        "stages.merge.usee: unknown key of a stage (set on the command line); did you mean 'use'?",
    ]
