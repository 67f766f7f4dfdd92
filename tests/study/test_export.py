"""`selma study export`: raters' files say nothing of whose image is whose, and no prompt breaks out of the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.study.conftest import INJECTION, TEXTS

Call = Callable[..., Any]
Sets = dict[str, Path]


def rows(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "pairs.jsonl").read_text().splitlines()]


def owner(path: Path) -> str:
    red, _, blue = Image.open(path).convert("RGB").getpixel((0, 0))
    return "a" if red > blue else "b"


def test_every_shared_image_is_shown_once_and_the_key_knows_its_side(call: Call, sets: Sets, tmp_path: Path) -> None:
    done = call("study", "export", sets["a"], sets["b"], "--out", tmp_path / "s", "--names", "new,old", "--json")
    key = json.loads(Path(done["key"]).read_text())
    shown = rows(tmp_path / "s")
    assert (done["pairs"], done["checks"], len(shown)) == (10, 0, 10)
    assert (key["a"], key["b"], set(key["pairs"])) == ("new", "old", {row["id"] for row in shown})
    for row in shown:
        secret = key["pairs"][row["id"]]
        assert row["prompt"] == TEXTS[int(secret["prompt_id"][1:])]
        sides = {side: owner(tmp_path / "s" / row[side]) for side in ("left", "right")}
        assert sides == {secret["a"]: "a", ({"left", "right"} - {secret["a"]}).pop(): "b"}
    assert {secret["a"] for secret in key["pairs"].values()} == {"left", "right"}


def test_raters_files_name_neither_set(call: Call, sets: Sets, tmp_path: Path) -> None:
    call("study", "export", sets["a"], sets["b"], "--out", tmp_path / "s", "--names", "secretive,veiled")
    files = [path for path in (tmp_path / "s").rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} == {"s", "images"}
    assert len(files) == 2 + 20
    text = "".join(path.read_text() for path in files if path.suffix != ".png") + " ".join(path.name for path in files)
    for word in ("secretive", "veiled", "images_a", "images_b", "prompt_id"):
        assert word not in text
    assert {key for row in rows(tmp_path / "s") for key in row} == {"id", "prompt", "left", "right"}
    assert (tmp_path / "s.key.json").is_file()


def test_no_prompt_ends_the_data_early(call: Call, sets: Sets, tmp_path: Path) -> None:
    call("study", "export", sets["a"], sets["b"], "--out", tmp_path / "s")
    page = (tmp_path / "s" / "index.html").read_text()
    assert INJECTION not in page
    assert page.count("<script") == page.count("</script>") == 2
    data = page.partition('id="data">')[2].partition("</script>")[0]
    assert INJECTION in {pair["prompt"] for pair in json.loads(data)["pairs"]}
    assert "http" not in page.replace("http-equiv", "")


def test_a_seed_gives_one_study_and_another_seed_another(call: Call, sets: Sets, tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        call("study", "export", sets["a"], sets["b"], "--out", tmp_path / name, "--seed", seed, "--checks", 2)
    keys = {name: json.loads((tmp_path / f"{name}.key.json").read_text()) for name in ("one", "again", "other")}
    assert keys["one"] == keys["again"] != keys["other"]


def test_few_pairs_are_spread_over_the_prompts(call: Call, sets: Sets, tmp_path: Path) -> None:
    call("study", "export", sets["a"], sets["b"], "--out", tmp_path / "s", "--pairs", 5)
    assert {row["prompt"] for row in rows(tmp_path / "s")} == set(TEXTS)


def test_an_attention_check_has_a_right_side(call: Call, sets: Sets, tmp_path: Path) -> None:
    call("study", "export", sets["a"], sets["b"], "--out", tmp_path / "s", "--checks", 3)
    key = json.loads((tmp_path / "s.key.json").read_text())["pairs"]
    checks = [row for row in rows(tmp_path / "s") if key[row["id"]]["check"]]
    assert len(checks) == 3
    for row in checks:
        right, secret = key[row["id"]]["check"], key[row["id"]]
        wrong = ({"left", "right"} - {right}).pop()
        blue = {
            side: Image.open(tmp_path / "s" / row[side]).convert("RGB").getpixel((0, 0))[2] for side in (right, wrong)
        }
        assert blue[right] == 30 + 5 * int(secret["prompt_id"][1:]) + secret["k"]
        assert blue[wrong] // 5 != blue[right] // 5


def test_a_plain_imagefolder_will_do(call: Call, tmp_path: Path) -> None:
    for name, suffix in (("x", "png"), ("y", "jpg")):
        (tmp_path / name).mkdir()
        for i in range(3):
            Image.new("RGB", (8, 8), (50 * i, 0, 0)).save(tmp_path / name / f"{name}{i}.{suffix}")
        lines = [json.dumps({"file_name": f"{name}{i}.{suffix}", "prompt": f"text {i // 2}"}) for i in range(3)]
        (tmp_path / name / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    done = call("study", "export", tmp_path / "x", tmp_path / "y", "--out", tmp_path / "s", "--json")
    assert done["pairs"] == 3
    assert {path.suffix for path in (tmp_path / "s" / "images").iterdir()} == {".png"}


def test_one_line_says_what_is_wrong(call: Call, sets: Sets, tmp_path: Path) -> None:
    export = ("study", "export", sets["a"], sets["b"], "--out", tmp_path / "s")
    assert "would be among the files for the raters" in call(*export, "--key", tmp_path / "s" / "key.json", code=2)
    assert "give two with a comma" in call(*export, "--names", "one", code=2)
    assert "--pairs is too small" in call(*export, "--pairs", 0, code=2)
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "old").write_text("")
    assert "is not empty" in call(*export, code=2)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "metadata.jsonl: no such file" in call("study", "export", empty, sets["b"], "--out", tmp_path / "t", code=2)


@pytest.mark.parametrize(
    ("field", "value", "line"), [("text", "other words", "reads"), ("prompt_id", "q0", "in common")]
)
def test_sets_of_other_prompts(field: str, value: str, line: str, call: Call, sets: Sets, tmp_path: Path) -> None:
    path = sets["b"] / "metadata.jsonl"
    changed = [json.loads(row) for row in path.read_text().splitlines()]
    for i, row in enumerate(changed):
        row[field] = f"{value}{i if field == 'prompt_id' else ''}"
    path.write_text("".join(json.dumps(row) + "\n" for row in changed))
    assert line in call("study", "export", sets["a"], sets["b"], "--out", tmp_path / "s", code=2)
