"""`selma run`, `plan`, `why`, `store`, `ablate`: exit codes, JSON on stdout, words on stderr."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from selma_core.store import Store
from tests.engine.kit import Call, write_recipe
from tests.engine.test_ablation import ABLATION


def test_run_prints_one_json_object(call: Call, folder: Path) -> None:
    code, out, err = call("run", "light.yaml", "--json")
    assert code == 0
    result = json.loads(out)
    assert set(result) == {
        *("run", "recipe", "report", "seconds", "stages"),
        *("scores", "comparisons", "agreement", "shared_judges"),
    }
    assert [stage["outcome"] for stage in result["stages"]] == ["ran"] * 4
    assert "4 stages, 4 to run" in err
    assert f"report: file://{folder}/store/runs/{result['run']}/report.html" in err
    code, out, _ = call("run", "light.yaml", "--json")
    assert [stage["outcome"] for stage in json.loads(out)["stages"]] == ["reused"] * 4


def test_run_ends_with_a_table(call: Call) -> None:
    code, out, _ = call("run", "selma.yaml")
    assert code == 0
    assert [line for line in out.splitlines() if "expert_count" in line and "light" in line]
    assert [line for line in out.splitlines() if "merged" in line and "experts" in line]
    for words in ("95 % interval", "rule official, judged by fake_judge", "prompts: bench = fake_prompts (n=6)"):
        assert words in out


def test_a_failed_stage_is_exit_code_1(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_FAIL", "images")
    code, out, err = call("run", "light.yaml", "--json")
    assert code == 1
    result = json.loads(out)
    assert [stage["outcome"] for stage in result["stages"]] == ["ran", "failed", "failed", "failed"]
    assert result["scores"] == {}
    assert result["stages"][1]["artifact"] is None
    assert "selma: error: images: RuntimeError: p-0-0.png is broken on purpose" in err
    assert "Traceback" not in err
    assert call("run", "light.yaml")[1] == ""


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["run", "light.yaml", "-o", "stages.images.use=fake_image"], "did you mean 'fake_images'?"),
        (["run", "lihgt.yaml"], "lihgt.yaml"),
        (["plan", "light.yaml", "-o", "stages.images.options.kk=1"], "stages.images.options.kk"),
        (["why", "light.yaml", "imags"], "did you mean 'images'?"),
        (["run", "light.yaml", "-o", "runtime.executor.use=proces"], "did you mean 'process'?"),
        (["run", "light.yaml", "-o", "runtime.executor={use: process, options: {workers: 0}}"], "above 0, or 'auto'"),
        (["ablate", "nothing"], "unknown ablation 'nothing'"),
        (["store", "gc", "--keep", "-1"], "--keep"),
    ],
)
def test_mistakes_are_exit_code_2_and_one_line(call: Call, folder: Path, words: Sequence[str], line: str) -> None:
    code, out, err = call(*words)
    assert (code, out) == (2, "")
    assert line in err
    assert len(err.splitlines()) == 1
    assert not (folder / "store").exists()


def test_plan_as_json_and_as_table(call: Call) -> None:
    code, out, _ = call("plan", "selma.yaml", "--json")
    assert code == 0
    stages = json.loads(out)["stages"]
    assert set(json.loads(out)) == {"stages", "expected_seconds", "not_expected"}
    keys = {"id", "kind", "plugin", "fingerprint", "status", "expected_seconds"}
    assert all(set(stage) == keys for stage in stages)
    assert {stage["status"] for stage in stages} == {"run"}
    _, out, _ = call("plan", "selma.yaml")
    assert out.splitlines()[-2] == "16 run"


def test_why_says_what_differs(call: Call) -> None:
    override = ("-o", "stages.images.options.shade=3")
    assert "would run, because the store holds no image_generator yet" in call("why", "light.yaml", "images")[1]
    call("run", "light.yaml")
    assert "is in the store, it would not run" in call("why", "light.yaml", "images")[1]
    found = json.loads(call("why", "light.yaml", "images", *override, "--json")[1])
    assert found["differences"] == [{"field": "options.shade", "now": 3, "stored": 0, "hint": ""}]
    found = json.loads(call("why", "light.yaml", "score", *override, "--json")[1])
    assert [(row["field"], row["hint"]) for row in found["differences"]] == [("inputs.images[0]", "see: why images")]
    (line,) = [line for line in call("why", "light.yaml", "images", *override)[1].splitlines() if "shade" in line]
    assert line.split() == ["options.shade", "3", "0"]


def test_store_commands(call: Call, folder: Path) -> None:
    assert call("store", "list")[0] == 0
    call("run", "light.yaml")
    call("run", "light.yaml", "-o", "stages.images.options.shade=3")
    listed = json.loads(call("store", "list", "--json")[1])["artifacts"]
    assert len(listed) == 7
    assert {row["stage"] for row in listed} == {"prompts", "images", "score", "best"}
    assert call("store", "verify")[:2] == (0, "7 artifacts checked, 0 damaged\n")
    dry = json.loads(call("store", "gc", "--keep", "1", "--dry-run", "--json")[1])
    assert len(dry["removed"]) == 3
    assert len(Store(folder / "store").fingerprints()) == 7
    assert call("store", "gc", "--keep", "1")[1].splitlines()[-1].startswith("3 removed")
    image = next((folder / "store" / "artifacts").rglob("p-0-0.png"))
    image.write_bytes(bytes(len(image.read_bytes())))
    code, out, _ = call("store", "verify")
    assert code == 1
    assert "is not what was stored (sha256 differs)" in out
    assert call("store", "verify", "--drop")[0] == 1
    assert call("store", "verify")[0] == 0
    assert call("run", "light.yaml", "-o", "stages.images.options.shade=3")[0] == 0


def test_ablate_prints_a_table_and_json(call: Call, folder: Path) -> None:
    write_recipe(folder / "scales.yaml", ABLATION)
    code, out, _ = call("ablate", "scales.yaml", "--plan")
    assert code == 0
    assert out.splitlines()[-2:] == [
        "16 run, 24 shared", "expected: not known, this store holds nothing of the kind"
    ]  # fmt: skip
    assert len([line for line in out.splitlines() if "shared" in line]) == 1
    code, out, _ = call("ablate", "scales.yaml", "--json")
    result: dict[str, Any] = json.loads(out)
    assert (code, list(result["scores"])) == (0, ["one", "two", "three", "same"])
    code, out, _ = call("ablate", "scales.yaml", "--picture", "deep/scales.svg")
    assert code == 0
    assert "ablation scales of selma" in out
    assert "minus that of one" in (folder / "deep" / "scales.svg").read_text(encoding="utf-8")
    score, difference = [line for line in out.splitlines() if "three" in line]
    three, one = (result["scores"][name]["light"]["mean"] for name in ("three", "one"))
    assert f"{three:.1f}" in score
    assert f"{three - one:+.1f}" in difference


@pytest.mark.parametrize(
    "words", [["run"], ["plan"], ["why"], ["ablate"], ["store", "list"], ["store", "gc"], ["store", "verify"]]
)
def test_every_command_has_help_with_an_example(call: Call, words: list[str]) -> None:
    code, out, _ = call(*words, "--help")
    assert code == 0
    assert f"selma {' '.join(words)}" in out
    assert "Example" in out
