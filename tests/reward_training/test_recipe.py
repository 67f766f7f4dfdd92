"""`reward_lora` in a recipe: what it reads, and what is said when a name is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from selma_core.errors import ConfigErrors
from selma_core.session import open_session
from tests import tiny_models
from tests.engine.kit import FAKES, LIGHT, write_recipe


@pytest.fixture
def errors(tmp_path: Path) -> Any:
    """Every mistake of a recipe whose training stage is as given; none is an empty list."""
    model = tiny_models.sd(tmp_path / "tiny")
    (tmp_path / "fakes.py").write_bytes(FAKES.read_bytes())

    def run(use: str, ports: dict[str, str], **options: Any) -> list[str]:
        stages = {name: LIGHT["stages"][name] for name in ("prompts", "images")}
        given = {"model": str(model), **options}
        stages["tune"] = {"kind": "adapter_trainer", "use": use, "from": ports, "options": given}
        path = tmp_path / "recipe.yaml"
        write_recipe(path, {**LIGHT, "stages": stages, "report": {"scores": []}})
        try:
            open_session(path, store=tmp_path / "store")
        except ConfigErrors as caught:
            return [str(error) for error in caught.errors]
        return []

    return run


REWARD = {"rewards": {"clip": {"use": "clipscore", "options": {"model": "clip_vit_b32"}}}}


def test_it_reads_prompts_or_images_or_both(errors: Any) -> None:
    assert errors("reward_lora", {"prompts": "prompts"}, **REWARD) == []
    assert errors("reward_lora", {"images": "images"}, **REWARD) == []
    assert errors("reward_lora", {"images": "images", "prompts": "prompts"}, **REWARD) == []
    (line,) = errors("reward_lora", {}, **REWARD)
    assert "'prompts' or 'images' is missing" in line


def test_other_trainers_read_images_only(errors: Any) -> None:
    assert errors("lora", {"images": "images"}) == []
    (line,) = errors("lora", {"images": "images", "prompts": "prompts"})
    assert "stages.tune.from.prompts: 'lora' reads no prompts" in line
    (line,) = errors("lora", {})
    assert "'images' is missing: the images that 'lora' reads" in line


def test_a_wrong_name_is_one_line(errors: Any) -> None:
    (line,) = errors("reward_lora", {"prompts": "prompts"}, method="drtuned", **REWARD)
    assert "method: must be one of 'drtune', 'draft_k', 'refl', not 'drtuned'" in line
    assert "did you mean 'drtune'?" in line
    (line,) = errors("reward_lora", {"prompts": "prompts"}, rewards={"a": {"use": "denscor"}})
    assert "rewards.a.use" in line
    assert "denscore" in line
