"""The command line: output shapes, exit codes, one-line errors, lightness."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from selma_core.cli import main
from selma_core.cli.app import COMMANDS
from tests.core.support import MERGE, MakeDistribution

HEAVY = ("torch", "diffusers", "transformers", "peft", "scipy", "huggingface_hub")


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = main(argv)
    out, err = capsys.readouterr()
    return code, out, err


def as_json(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    code, out, _ = run(capsys, *argv)
    assert code == 0
    return json.loads(out)


@pytest.mark.parametrize(
    "argv",
    [["--help"], ["plugins", "list", "--json"], ["recipes", "list"], ["plugins", "show", "image_generator/diffusers"]],
)
def test_listing_imports_nothing_heavy(argv: list[str]) -> None:
    code = (
        "import sys; from selma_core.cli import main; code = main(sys.argv[1:]); "
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "[]"


def test_import_of_the_core_is_light() -> None:
    code = f"import sys, selma_core, selma_core.testing.plugin; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_survives_a_plugin_that_cannot_be_imported(
    make_distribution: MakeDistribution, capsys: pytest.CaptureFixture[str]
) -> None:
    make_distribution("broken-dist", {"bad": "raise SystemExit(7)"})
    assert run(capsys, "--help")[0] == 0
    code, out, err = run(capsys, "plugins", "list", "--json")
    assert code == 0
    assert err.count("\n") == err.count("broken-dist:bad") >= 0
    (problem,) = [one for one in json.loads(out)["problems"] if one["provider"] == "broken-dist"]
    assert problem["status"] == "quarantined"


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_help_has_an_example(name: str) -> None:
    from cyclopts import App

    from selma_core.cli.app import build_app

    command = build_app(name)[name]
    subs = [sub for sub in command if not sub.startswith("-")]
    assert all(isinstance(command[sub], App) for sub in subs)
    # A process of its own, as for a user: cyclopts writes the table's line into a sub-app that it has resolved once.
    code = "import sys; from selma_core.cli import main\nfor sub in sys.argv[2:]: main([sys.argv[1], sub, '--help'])"
    listing = "import sys; from selma_core.cli import main; main([sys.argv[1], '--help'])"
    own = subprocess.run([sys.executable, "-c", listing, name], capture_output=True, text=True, check=True).stdout
    assert "Example: selma" in own
    if not subs:
        return
    shown = subprocess.run([sys.executable, "-c", code, name, *subs], capture_output=True, text=True, check=True).stdout
    assert shown.count("Example: selma") == len(subs)


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "--help")[1]
    assert all(name in out for name in COMMANDS)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["frob"], "unknown command 'frob'; "),
        (["plugin"], "unknown command 'plugin'; did you mean 'plugins'? (see: selma --help)"),
        (["plugins", "lst"], "unknown command 'lst'; did you mean 'list'? (see: selma plugins --help)"),
        (["plugins", "list", "--frob"], "Unknown option: --frob"),
        (["plugins", "list", "--kind", "chat_modl"], "unknown kind 'chat_modl'; did you mean 'chat_model'?"),
        (["plugins", "show", "linear"], "'linear': write KIND/NAME"),
        (["plugins", "show", "chat_model/opena"], "unknown chat_model 'opena'; did you mean 'openai'?"),
        (["plugins", "show"], "requires an argument"),
        (["skills", "show", "cont"], "unknown skill 'cont'; did you mean 'count'?"),
        (["models", "show", "shapes_bse"], "unknown model 'shapes_bse'; did you mean 'shapes_base'?"),
        (["models", "fetch", "hub:a/b"], "'hub:a/b': pin the revision"),
        (["recipes", "show", "shaps"], "unknown recipe 'shaps'; did you mean 'shapes"),
        (["config", "show", "shapes", "-o", "sede=1"], "sede: unknown key of a recipe (set on the command line)"),
        (["generate", "x", "--steps", "three"], "three"),
        (["generate", "x", "--generator", "difusers"], "unknown image_generator 'difusers'; did you mean 'diffusers'?"),
        (
            ["generate", "x", "--model", "/nowhere"],
            "options.model: model '/nowhere': the folder /nowhere does not exist",
        ),
    ],
)
def test_mistake_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], argv: list[str], expected: str
) -> None:
    code, out, err = run(capsys, *argv)
    assert code == 2
    assert out == ""
    (line,) = [line for line in err.splitlines() if line.startswith("selma: error: ")]
    assert expected in line


def test_all_errors_of_a_recipe_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "config", "show", "shapes", "-o", "sede=1", "-o", "stages.mrge.use=x")
    assert code == 2
    assert len([line for line in err.splitlines() if line.startswith("selma: error: ")]) == 2


def test_verbose_prints_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Traceback" not in run(capsys, "skills", "show", "cont")[2]
    assert "Traceback" in run(capsys, "skills", "show", "cont", "-v")[2]


@pytest.mark.parametrize(
    ("error", "code", "expected"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (ValueError("boom"), 1, "selma: error: ValueError: boom (this is a bug or a failing plugin"),
    ],
)
def test_other_ends(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, expected: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("selma_core.cli.recipes.open_registry", fail)
    found, _, err = run(capsys, "recipes", "list")
    assert found == code
    assert expected in err


def test_plugins_list_json(make_distribution: MakeDistribution, capsys: pytest.CaptureFixture[str]) -> None:
    make_distribution("acme", {"first": MERGE, "bad": "import nothing_like_this"}, version="4.5")
    make_distribution("other", {"first": MERGE})
    found = as_json(capsys, "plugins", "list", "--json", "--timing")
    (mine,) = [one for one in found["plugins"] if one["provider"] == "acme"]
    assert {key: mine[key] for key in ("kind", "name", "provider", "version", "status")} == {
        "kind": "merge_strategy",
        "name": "first",
        "provider": "acme",
        "version": "4.5",
        "status": "ambiguous",
    }
    assert [one["plugin"] for one in found["problems"]] == ["acme:bad"]
    assert found["timings"]["acme:first"] > 0


def test_plugins_show(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MERGE)
    found = as_json(capsys, "plugins", "show", "merge_strategy/first", "--json", "--plugin", str(file))
    assert found["provider"] == "mine.py"
    assert found["options"] == [
        {
            "name": "part",
            "type": "float",
            "required": False,
            "default": 0.5,
            "help": "share of the first expert",
            "names": None,
            "changes_results": True,
        }
    ]
    table = run(capsys, "plugins", "show", "merge_strategy/first", "--plugin", str(file))[1]
    assert "share of the first expert" in table


def test_every_bundled_plugin_can_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    for one in as_json(capsys, "plugins", "list", "--json")["plugins"]:
        name = f"{one['kind']}/{one['provider']}/{one['name']}"
        assert as_json(capsys, "plugins", "show", name, "--json")["name"] == one["name"]


def test_config_show_is_the_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    plain = yaml.safe_load(run(capsys, "config", "show", "shapes", "-o", "seed=7")[1])
    assert plain["seed"] == 7
    _, out, _ = run(capsys, "config", "show", "shapes", "-o", "seed=7", "--origin")
    assert "seed: 7  # the command line" in out
    assert "# recipe shapes (shapes.yaml:" in out
    assert yaml.safe_load(out)["stages"] == plain["stages"]


def test_recipes_and_skills(capsys: pytest.CaptureFixture[str]) -> None:
    assert "shapes" in [one["name"] for one in as_json(capsys, "recipes", "list", "--json")["recipes"]]
    assert "extends: shapes" in run(capsys, "recipes", "show", "shapes_full")[1]
    assert as_json(capsys, "recipes", "show", "shapes_full", "--json")["stages"]["merge"]["use"] == "linear"
    assert as_json(capsys, "skills", "show", "count", "--json")["pin"].startswith("sha256:")


def test_models_show_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionXLPipeline"}')
    found = as_json(capsys, "models", "show", str(tmp_path), "--json")
    assert (found["path"], found["family"], found["status"]) == (str(tmp_path), "sdxl", "present")
    assert found["digest"] == found["pin"]
    absent = as_json(capsys, "models", "show", f"hub:a/b@{'0' * 40}", "--json")
    assert (absent["path"], absent["digest"], absent["pin"]) == (None, None, f"hub:a/b@{'0' * 40}")
    assert {one["name"] for one in as_json(capsys, "models", "list", "--json")["models"]} >= {"shapes_base"}


GENERATOR = """
import attrs
from selma_core import hookimpl
from selma_core.options import option
from selma_core.records import ImageGeneratorRecord

@attrs.frozen
class Options:
    steps: int = option(1, help="grey level")
    note: str = option("", help="a note")

class Grey:
    images_per_prompt = 1
    def __init__(self, options):
        self.options = options
    def attach(self, context):
        self.device = context.device
    def images(self, job):
        from PIL import Image
        job.context.warn("grey: " + self.options.note + self.device)
        for request in job.requests:
            yield request, Image.new("RGB", (request.seed, 4), (self.options.steps, 0, 0))

@hookimpl
def selma_image_generators():
    yield ImageGeneratorRecord(name="grey", summary="grey", factory="grey:Grey", options=Options)
"""


def test_generate_writes_a_png(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from PIL import Image

    file, out = tmp_path / "grey.py", tmp_path / "deep" / "x.png"
    file.write_text(GENERATOR)
    argv = ["generate", "a cat", "--generator", "grey", "--plugin", str(file), "--device", "cpu", "--out", str(out)]
    found = as_json(capsys, *argv, "--seed", "6", "--steps", "9", "-o", "note=hi", "--json")
    assert found == {"path": str(out), "prompt": "a cat", "seed": 6, "width": 6, "height": 4}
    with Image.open(out) as image:
        assert (image.size, image.mode, image.getpixel((0, 0))) == ((6, 4), "RGB", (9, 0, 0))
    code, _, err = run(capsys, *argv, "--guidance", "3")
    assert code == 2
    assert "options.guidance: unknown option (set on the command line)" in err


def test_generate_refuses_an_adapter_that_is_none(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "grey.py"
    file.write_text(GENERATOR)
    (tmp_path / "lora.bin").write_bytes(b"x")
    argv = ["generate", "a cat", "--generator", "grey", "--plugin", str(file), "--adapter"]
    for adapter, expected in ((tmp_path / "none", "no such file"), (tmp_path / "lora.bin", "lora.bin")):
        code, _, err = run(capsys, *argv, str(adapter))
        assert code == 2
        assert expected in err
