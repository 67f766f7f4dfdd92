"""A stranger's distribution works by name in a fresh environment; a broken one beside it does no harm."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
Call = Callable[..., subprocess.CompletedProcess[str]]


def heavy_packages(folder: Path) -> None:
    """Links to every package of this environment but SELMA's own: what pip would otherwise download again."""
    folder.mkdir()
    for place in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for item in Path(place).iterdir():
            if not item.name.lstrip("_").startswith(("selma", "pip", "editable__selma")) and item.suffix != ".pth":
                (folder / item.name).symlink_to(item)


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new virtual environment with SELMA and the two distributions, installed by pip."""
    folder = tmp_path_factory.mktemp("downstream")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    python = folder / "venv/bin/python"
    heavy_packages(folder / "heavy")
    (site,) = folder.glob("venv/lib/python*/site-packages")
    (site / "heavy.pth").write_text(f"{folder / 'heavy'}\n")
    for name in ("selma-halfmerge", "selma-broken"):  # copies: a build may leave files beside the sources
        shutil.copytree(HERE / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    wanted = [str(wheel), str(folder / "selma-halfmerge"), str(folder / "selma-broken")]
    pip = [str(python), "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-build-isolation", *wanted]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return python


@pytest.fixture
def selma(python: Path, tmp_path: Path) -> Call:
    """Runs `selma` of the new environment in an empty folder."""

    def call(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("SELMA", "PYTHON", "VIRTUAL"))}
        kept |= {"OMP_NUM_THREADS": "1", "COLUMNS": "200", **environment}
        command = [str(python.parent / "selma"), *arguments]
        return subprocess.run(command, cwd=tmp_path, env=kept, capture_output=True, text=True, check=False)

    return call


def test_selma_itself_is_the_installed_one(python: Path, tmp_path: Path) -> None:
    code = "import selma_core, selma_plugins, selma_registry; print(selma_core.__file__)"
    done = subprocess.run([str(python), "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip().startswith(str(python.parent.parent))


def test_it_is_listed_with_its_provider(selma: Call) -> None:
    listed = json.loads(selma("plugins", "list", "--json").stdout)
    (half,) = [row for row in listed["plugins"] if row["name"] == "half"]
    assert (half["kind"], half["provider"], half["version"]) == ("merge_strategy", "selma-halfmerge", "1.2.0")
    assert half["status"] == "ok"


def test_the_broken_one_is_quarantined_with_one_line(selma: Call) -> None:
    done = selma("plugins", "list", "--json")
    (problem,) = json.loads(done.stdout)["problems"]
    assert problem["provider"] == "selma-broken"
    assert "MergeStrategiesRecord" in problem["line"]
    assert "\n" not in problem["line"]
    shown = selma("plugins", "list")
    assert shown.returncode == 0
    assert len([line for line in shown.stderr.splitlines() if "selma-broken" in line]) == 1
    assert "Traceback" not in shown.stderr + shown.stdout
    assert selma("--help").returncode == 0


def test_it_can_be_switched_off_or_made_an_error(selma: Call) -> None:
    assert "selma-broken" not in selma("plugins", "list", SELMA_PLUGINS="all,-selma-broken").stderr
    strict = selma("plugins", "list", SELMA_PLUGINS_STRICT="1")
    assert strict.returncode == 1
    assert "selma-broken" in strict.stderr


def test_it_shows_its_options(selma: Call) -> None:
    done = selma("plugins", "show", "merge_strategy/half", "--json")
    shown = json.loads(done.stdout)
    assert [(row["name"], row["default"]) for row in shown["options"]] == [("strength", 0.5)]
    assert selma("plugins", "show", "merge_strategy/selma-halfmerge/half").returncode == 0


def test_a_value_out_of_its_range_is_refused(selma: Call) -> None:
    done = selma("plan", "shapes", "-o", "stages.merge.use=half", "-o", "stages.merge.options.strength=2")
    assert done.returncode == 2
    assert "stages.merge.options.strength" in done.stderr


RECIPE = """
summary: two experts from other files, merged by another distribution
stages:
  prompts: {kind: prompt_source, use: prompt_file, foreach: skill, options: {path: prompts.txt, skill: "{skill}"}}
  images:
    {kind: image_generator, use: diffusers, foreach: skill, from: {prompts: prompts}, options: {model: MODEL, steps: 2}}
  expert:
    kind: adapter_trainer
    use: lora
    foreach: skill
    from: {images: images}
    options: {model: MODEL, rank: 2, steps: 2, batch_size: 2, lr: 0.01, flip: false}
  merge: {kind: merge_strategy, use: half, from: {adapters: expert}}
axes: {skill: [one, two]}
runtime: {executor: {use: inline}, threads: 1}
"""

CHECK = """
import sys
from pathlib import Path
from selma_core.artifacts.adapter import adapter_file
from selma_core.artifacts.lora_reader import read_layers
merged, *experts = [read_layers(adapter_file(Path(folder))) for folder in sys.argv[1:]]
def delta(reader, name):
    factors = reader.factors(name)
    return factors.up.flatten(1) @ factors.down.flatten(1)
names = list(merged.names())
mean = {name: sum(delta(expert, name) for expert in experts) / len(experts) for name in names}
assert names and sum(float(value.norm()) for value in mean.values()) > 0
for name in names:
    assert (delta(merged, name) - 0.5 * mean[name]).abs().max() < 1e-6, name
print("half of the mean in", len(names), "layers")
"""


def test_a_real_merge_by_its_name(selma: Call, python: Path, tmp_path: Path) -> None:
    from tests import tiny_models

    model = tiny_models.sd(tmp_path / "model")
    (tmp_path / "prompts.txt").write_text("a red cat\na blue hat\n")
    (tmp_path / "mine.yaml").write_text(RECIPE.replace("MODEL", str(model)))
    done = selma("run", "mine.yaml", "--json")
    assert done.returncode == 0, done.stderr
    stages = {stage["id"]: stage for stage in json.loads(done.stdout)["stages"]}
    assert stages["merge"]["outcome"] == "ran"
    assert stages["merge"]["plugin"].endswith("half")
    folders = [stages[name]["artifact"] for name in ("merge", "expert[one]", "expert[two]")]
    check = subprocess.run([str(python), "-c", CHECK, *folders], capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stderr
    assert "half of the mean" in check.stdout
