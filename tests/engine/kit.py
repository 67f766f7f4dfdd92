"""What the engine's tests share: the recipes over the fake plugins, and looks into a store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import yaml

from selma_core.store import Store

Call = Callable[..., tuple[int, str, str]]
"""Runs a command; gives exit code, stdout, stderr."""

FAKES = Path(__file__).with_name("fakes.py")

RECIPE: dict = {
    "summary": "fakes",
    "axes": {
        "skill": ["count", "general"],
        "variant": {
            "base": {},
            "expert_{skill}": {"sample": {"from": {"adapter": "expert[{skill}]"}}},
            "merged": {"sample": {"from": {"adapter": "merge"}}},
        },
    },
    "stages": {
        "prompts": {
            "kind": "prompt_source",
            "use": "fake_prompts",
            "foreach": "skill",
            "options": {"skill": "{skill}"},
        },
        "images": {"kind": "image_generator", "use": "fake_images", "foreach": "skill", "from": {"prompts": "prompts"}},
        "expert": {"kind": "adapter_trainer", "use": "fake_train", "foreach": "skill", "from": {"images": "images"}},
        "merge": {"kind": "merge_strategy", "use": "fake_merge", "from": {"adapters": "expert"}},
        "bench": {"kind": "prompt_source", "use": "fake_prompts", "options": {"n": 6}},
        "sample": {
            "kind": "image_generator",
            "use": "fake_images",
            "foreach": "variant",
            "from": {"prompts": "bench"},
            "options": {"k": 2},
        },
        "score": {"kind": "evaluator", "use": "fake_light", "foreach": "variant", "from": {"images": "sample"}},
    },
    "plugins": {"files": ["fakes.py"]},
    "report": {
        "scores": "score",
        "baseline": "base",
        "headline": "light",
        "compare": [["merged", "base"], ["merged", "experts"]],
    },
}

# Without adapters, so without torch.
LIGHT: dict = {
    "stages": {
        "prompts": {"kind": "prompt_source", "use": "fake_prompts", "options": {"n": 5}},
        "images": {
            "kind": "image_generator",
            "use": "fake_images",
            "from": {"prompts": "prompts"},
            "options": {"k": 2},
        },
        "score": {"kind": "evaluator", "use": "fake_light", "from": {"images": "images"}},
        "best": {"kind": "selector", "use": "fake_first", "from": {"images": "images", "scores": "score"}},
    },
    "plugins": {"files": ["fakes.py"]},
}


def write_recipe(path: Path, data: dict) -> None:
    """Writes a recipe as YAML."""
    path.write_text(yaml.safe_dump(data, sort_keys=False))


def contents(store: Store | Path) -> dict[str, bytes]:
    """Every artifact file but the manifests (they hold times), by path in the store."""
    root = store.root if isinstance(store, Store) else store
    paths = [path for path in (root / "artifacts").rglob("*") if path.is_file() and path.name != "manifest.json"]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}
