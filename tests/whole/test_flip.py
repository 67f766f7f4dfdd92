"""A skill that says `flip: false` is never mirrored in training: from its YAML file to the adapter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from selma_core.artifacts.adapter import adapter_file
from selma_core.artifacts.images import read_images
from selma_core.result import Run
from tests.whole.conftest import folder_of

SKILL = {
    "summary": "sides",
    "description": "captions that say where things are",
    "rules": ["Say where things are."],
    "max_words": 12,
    "seeds": ["the two of us", "right of the hat", "a circle of cats"],
}
SOURCE = """
from pathlib import Path

from selma_core import hookimpl
from selma_core.records import RegistrySourceRecord


@hookimpl
def selma_registry_sources():
    yield RegistrySourceRecord(name="mine", path=Path("FOLDER") / "my_registry")
"""
REPLY = "4. a red cat\n5. two blue hats\n6. one big circle\n7. seven birds"
FLIPS: dict[str, dict[str, bool]] = {"default": {}, "never": {"flip": False}, "always": {"flip_all_skills": True}}


@pytest.fixture
def skill(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """Writes the skill with some more fields, and the plugin that offers it."""

    def write(more: dict[str, Any]) -> Path:
        folder = tmp_path / "my_registry" / "skills"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "sides.yaml").write_text(yaml.safe_dump(SKILL | more))
        (tmp_path / "mine.py").write_text(SOURCE.replace("FOLDER", str(tmp_path)))
        return tmp_path / "mine.py"

    return write


@pytest.fixture
def adapters(start: Callable[..., Run], draw: dict[str, Any], lora: dict[str, Any]) -> Callable[[Path], dict[str, Any]]:
    """The prompts' metadata, and one adapter per setting of the trainer's flips."""

    def train(plugin: Path) -> dict[str, Any]:
        chat = {"use": "scripted", "options": {"replies": [REPLY]}}
        asked = {"skill": "sides", "n": 4, "ask": 4, "requests": 1, "chat": chat}
        stages: dict[str, Any] = {
            "prompts": {"kind": "prompt_source", "use": "llm_skills", "options": asked},
            "images": {"kind": "image_generator", "use": "diffusers", "from": {"prompts": "prompts"}, "options": draw},
        }
        for name, options in FLIPS.items():
            trained = {"kind": "adapter_trainer", "use": "lora", "from": {"images": "images"}}
            stages[name] = trained | {"options": lora | options}
        run = start(stages, (plugin,))
        metas = [item.prompt.meta for item in read_images(folder_of(run, "images"))]
        return {"metas": metas, **{name: adapter_file(folder_of(run, name)).read_bytes() for name in FLIPS}}

    return train


def test_images_of_a_skill_that_says_so_are_never_mirrored(skill: Any, adapters: Any) -> None:
    found = adapters(skill({"flip": False}))
    assert [meta["flip"] for meta in found["metas"]] == [False] * 4
    assert found["default"] == found["never"]
    assert found["default"] != found["always"]  # the paper's code mirrors every image


@pytest.mark.parametrize("more", [{"flip": True}, {}])
def test_images_of_other_skills_are_mirrored(skill: Any, adapters: Any, more: dict[str, Any]) -> None:
    found = adapters(skill(more))
    assert not any("flip" in meta for meta in found["metas"])
    assert found["default"] == found["always"]
    assert found["default"] != found["never"]
