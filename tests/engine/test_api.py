"""`selma_core.plan`, `why`, `generate`, `merge`: what the commands do, with typed results."""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import selma_core
from selma_core.errors import ConfigErrors, UnknownNameError, UserError
from selma_core.result import Run

Start = Callable[..., Run]


def test_plan_says_run_then_hit_and_writes_nothing(start: Start, folder: Path) -> None:
    where = {"store": folder / "store"}
    rows = selma_core.plan(folder / "light.yaml", **where)
    assert [(row.id, row.status) for row in rows] == [(name, "run") for name in ("prompts", "images", "score", "best")]
    assert not (folder / "store").exists()
    run = start("light", until=["images"])
    rows = selma_core.plan(folder / "light.yaml", **where)
    assert [row.status for row in rows] == ["hit", "hit", "run", "run"]
    assert [row.node.fingerprint for row in rows[:2]] == [node.fingerprint for node in run.nodes]
    changed = selma_core.plan(folder / "light.yaml", ["stages.images.options.shade=3"], until=["images"], **where)
    assert [row.status for row in changed] == ["hit", "run"]


def test_why_says_what_differs(start: Start, folder: Path) -> None:
    arguments = (folder / "light.yaml", "images", ["stages.images.options.shade=3"])
    assert selma_core.why(*arguments, store=folder / "store").nearest is None
    run = start("light")
    found = selma_core.why(*arguments, store=folder / "store")
    assert found.status == "run"
    assert found.nearest is not None
    assert found.nearest.fingerprint == run.node("images").fingerprint
    assert [(one.field, one.now, one.stored) for one in found.differences] == [("options.shade", 3, 0)]
    with pytest.raises(UnknownNameError, match="did you mean 'images'"):
        selma_core.why(folder / "light.yaml", "imags", store=folder / "store")


def test_generate_draws_with_the_options_given(folder: Path) -> None:
    plugins = [folder / "fakes.py"]
    image = selma_core.generate("a cat", generator="fake_images", seed=5, options={"shade": 9}, plugins=plugins)
    assert image.getpixel((0, 0)) == (9, 5, 0)
    with pytest.raises(ConfigErrors, match=r"options.shde: .*\(set by the call\).*'shade'"):
        selma_core.generate("a cat", generator="fake_images", options={"shde": 9}, plugins=plugins)
    with pytest.raises(UnknownNameError, match="fake_images"):
        selma_core.generate("a cat", generator="fake_image", plugins=plugins)


def test_merge_writes_a_file_that_merges_again(start: Start, folder: Path) -> None:
    run = start("selma", until=["expert"])
    files = [run.adapter(f"expert[{skill}]") for skill in ("count", "general")]
    plugins, seen = [folder / "fakes.py"], []
    made = selma_core.merge(
        files,
        folder / "m.safetensors",
        strategy="fake_merge",
        options={"scale": 3.0},
        plugins=plugins,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert made.path == (folder / "m.safetensors").resolve()
    assert made.weights == (1.5, 1.5)
    assert made.parents == tuple(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)
    assert list(made.norm_ratio) == list(made.retained) == ["unet.mid.to_q"]
    assert made.card["options"] == {"scale": 3.0}
    assert seen[-1] == (1, 1)
    again = selma_core.merge([made.path, files[0]], folder / "n.safetensors", strategy="fake_merge", plugins=plugins)
    assert again.base == made.base == "fake"
    with pytest.raises(UserError, match=r"\.safetensors"):
        selma_core.merge(files, folder / "m.bin", strategy="fake_merge", plugins=plugins)


def test_importing_and_planning_import_no_torch(folder: Path) -> None:
    code = (
        "import sys, selma_core\n"
        "for name in selma_core.__all__: getattr(selma_core, name)\n"
        "selma_core.plan(sys.argv[1]), selma_core.why(sys.argv[1], 'images')\n"
        "print([name for name in ('torch', 'diffusers', 'transformers', 'peft', 'scipy') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(folder / "light.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.stdout.strip() == "[]", done.stderr


def test_no_module_hides_a_function() -> None:
    modules = {module.name for module in pkgutil.iter_modules(selma_core.__path__)}
    assert not modules & set(selma_core.__all__)
    importlib.import_module("selma_core.drawing")
    assert all(callable(getattr(selma_core, name)) for name in selma_core.__all__)
    assert set(selma_core.__all__) <= set(dir(selma_core))
