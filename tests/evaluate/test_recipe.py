"""`image_folder` in a recipe: ground truth beside drawn images, and what the tables say where some are missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import selma_core

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def recipe(folder: Path, bench: Path, tmp_path: Path) -> Path:
    judge = {"benchmark": str(bench), "judge": "shapes_oracle"}
    data: dict[str, Any] = {
        "summary": "two folders against each other",
        "axes": {"variant": {"whole": {}, "part": {"images": {"options": {"folder": str(tmp_path / "part")}}}}},
        "stages": {
            "bench": {"kind": "prompt_source", "use": "benchmark_prompts", "options": {"benchmark": str(bench)}},
            "images": {
                "kind": "image_generator",
                "use": "image_folder",
                "foreach": "variant",
                "from": {"prompts": "bench"},
                "options": {"folder": str(folder)},
            },
            "kept": {"kind": "selector", "use": "keep_all", "foreach": "variant", "from": {"images": "images"}},
            "score": {
                "kind": "evaluator",
                "use": "dsg",
                "foreach": "variant",
                "from": {"images": "kept"},
                "options": judge,
            },
        },
        "report": {"scores": "score", "baseline": "whole", "compare": [["part", "whole"]]},
    }
    (tmp_path / "part").mkdir()
    for path in sorted(folder.iterdir())[:7]:
        (tmp_path / "part" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "folders.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
    return tmp_path / "folders.yaml"


def test_missing_images_are_seen_in_the_table_the_json_and_the_report(call: Call, recipe: Path) -> None:
    code, out, err = call("run", recipe)
    assert code == 0, err
    (part,) = [
        line for line in out.splitlines() if "part" in line and "dsg" in line and "7 of 10" in line and "│" in line
    ]
    (whole,) = [
        line for line in out.splitlines() if "whole" in line and "dsg" in line and "│" in line and "part" not in line
    ]
    assert part
    assert " of " not in whole
    assert "part, dsg: only 7 of 10 images were there and scored" in out
    assert "images[part]: only 7 of 10 expected images are there" in err
    code, out, _ = call("run", recipe, "--json")
    result = json.loads(out)
    counts = {name: (s["dsg"]["n_images"], s["dsg"]["expected_images"]) for name, s in result["scores"].items()}
    assert counts == {"whole": (10, 10), "part": (7, 10)}
    assert result["comparisons"][0]["n"] == 7  # on the prompts that both have
    page = Path(result["report"]).read_text()
    assert "7 of 10" in page
    assert "10 of 10" not in page


def test_imported_images_have_no_seed_and_remember_their_file(recipe: Path, folder: Path) -> None:
    run = selma_core.run(recipe)
    items = run.images("images[whole]")
    assert {item.seed for item in items} == {None}
    record = json.loads((run.artifact("images[whole]") / "import.json").read_text())
    assert record["files"] == {item.path.name: f"{item.prompt.id}.png" for item in items}
    assert {item.prompt.meta["group"] for item in items} == {""}
    assert sorted(f"{item.prompt.id}.png" for item in items) == sorted(path.name for path in folder.iterdir())


def test_another_content_of_the_folder_is_another_artifact(recipe: Path, folder: Path) -> None:
    before = {row.id: row.node.fingerprint for row in selma_core.plan(recipe)}
    min(folder.iterdir()).unlink()
    after = {row.id: row.node.fingerprint for row in selma_core.plan(recipe)}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"images[whole]", "kept[whole]", "score[whole]"}
