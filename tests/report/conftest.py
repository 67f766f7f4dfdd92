"""A run as `selma run shapes` leaves it: real artifact folders, real scores, small invented content."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from PIL import Image, ImageDraw
from selma_plugins.evaluation.dsg_scores import summarise_rows
from selma_plugins.evaluation.rules import rule_of

from selma_core.artifacts.images import image_row, png_bytes, write_images
from selma_core.artifacts.jsonl import write_rows
from selma_core.artifacts.prompts import PromptSet, write_prompts
from selma_core.artifacts.scores import ImageValue, ScoreTable, write_scores
from selma_core.comparisons import comparisons, single_runs
from selma_core.config.recipe import Recipe
from selma_core.data import Atom, ImageRequest, ItemAtoms, MetricInfo, Prompt, Rejected, Summary
from selma_core.files import sha256_file, write_json
from selma_core.report import write_report
from selma_core.result import NodeResult, Run
from selma_core.scoring import score_entry
from selma_core.store.manifest import MANIFEST, Manifest

SKILLS = ("paragraph", "count", "general")
STRENGTH = {
    "base": 0.62,
    "expert_paragraph": 0.68,
    "expert_count": 0.7,
    "expert_general": 0.66,
    "joint": 0.67,
    "merged": 0.8,
}
INJECTION = "<script>document.title='owned'</script><img src=x onerror=alert(1)> & \"quotes\" 'too'"
QUESTIONS = (("entity", "whole"), ("attribute", "color"), ("relation", "spatial"), ("other", "count"))


def picture(seed: int, size: int) -> Image.Image:
    rng = random.Random(seed)
    image = Image.new("RGB", (size, size), "#f4f1ea")
    draw = ImageDraw.Draw(image)
    for _ in range(3):
        x, y, r = rng.randrange(size), rng.randrange(size), rng.randrange(size // 10, size // 4)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=rng.choice(["#d33", "#36c", "#2a8", "#eb3", "#939"]))
    return image


@attrs.define
class Builder:
    """Writes artifact folders and collects their nodes."""

    folder: Path
    size: int = 64
    nodes: list[NodeResult] = attrs.field(factory=list)

    def node(self, label: str, kind: str, plugin: str, axes: dict[str, str], **changes: Any) -> Path:
        value = ",".join(axes.values())
        name = f"{label}[{value}]" if value else label
        artifact = self.folder / f"{len(self.nodes):02d}"
        artifact.mkdir(parents=True)
        fingerprint = f"{hash((name, 1)) & (2**64 - 1):016x}" * 4
        manifest = Manifest(
            fingerprint=fingerprint,
            payload={"kind": kind, "plugin": plugin, "options": {"steps": 20, "api_key": "sk-very-secret"}},
            label=name, kind=kind, plugin=plugin, provider="selma", version="0.1.0", inputs={}, seconds=12.5, files={},
        )  # fmt: skip
        write_json(artifact / MANIFEST, manifest.to_json())
        fields = {"outcome": "ran", "seconds": 3.0 + len(self.nodes) % 7, "artifact": artifact, **changes}
        self.nodes.append(
            NodeResult(id=name, label=label, kind=kind, plugin=plugin, fingerprint=fingerprint, axes=axes, **fields)
        )
        return artifact

    def prompts(self, label: str, axes: dict[str, str], prompts: list[Prompt], rejected: tuple[Rejected, ...]) -> None:
        write_prompts(self.node(label, "prompt_source", "grammar", axes), PromptSet(tuple(prompts), rejected))

    def images(self, label: str, axes: dict[str, str], prompts: list[Prompt], reads: str, count: int = 1) -> None:
        folder = self.node(label, "image_generator", "diffusers", axes, reads=(reads,))
        rows = []
        for prompt in prompts:
            for k in range(count):
                request = ImageRequest(prompt=prompt, k=k, seed=k)
                path = folder / request.file_name
                path.write_bytes(png_bytes(picture(len(rows) * 31 + len(label + str(axes)), self.size)))
                rows.append(image_row(request, sha256_file(path)))
        write_images(folder, rows)

    def adapter(self, label: str, axes: dict[str, str], steps: int = 150) -> None:
        folder = self.node(label, "adapter_trainer", "lora", axes)
        rng = random.Random(str(axes))
        rows: list[dict[str, float]] = [
            {"step": s, "loss": 0.12 + 0.09 * math.exp(-s / 50) + rng.gauss(0, 0.008)} for s in range(0, steps + 1, 5)
        ]
        for row in rows[::6]:
            row["heldout"] = 0.13 + 0.07 * math.exp(-row["step"] / 60)
        write_rows(folder / "curve.jsonl", rows)

    def search(self) -> None:
        folder = self.node("merge", "merge_strategy", "search", {}, outcome="reused", seconds=0.0)
        values = [(24, 0.61), (8, 0.9), (24, 0.66), (24, 0.64)]
        rows = [
            {"step": i, "prompts": n, "value": v, "best": 0.61 if i < 3 else 0.66} for i, (n, v) in enumerate(values, 1)
        ]
        write_rows(folder / "curve.jsonl", rows)
        record = {"images_drawn": 80, "images_without_racing": 96, "mean_value": 0.61, "best_value": 0.66}
        write_json(folder / "adapter.json", {"parents": ["f" * 64, "e" * 64], "weights": [0.7, 0.41], "search": record})

    def scores(self, variant: str, prompts: list[Prompt], count: int) -> Summary:
        """Every question is answered yes with the variant's strength, the same noise for all variants."""
        folder = self.node("score", "evaluator", "dsg", {"variant": variant}, warnings=WARNINGS.get(variant, ()))
        specs = {p.id: {"text": p.text, "groups": [p.skill], "questions": QUESTION_ROWS} for p in prompts}
        rows = tuple(
            ItemAtoms(item_id=f"{p.id}-{k}", prompt_id=p.id, k=k, atoms=answers(f"{p.id} {k}", variant))
            for p in prompts
            for k in range(count)
        )
        rules = ("official", "nodep")
        values = [ImageValue(r.item_id, r.prompt_id, r.k, {rule: image_value(r, rule) for rule in rules}) for r in rows]
        table = ScoreTable(MetricInfo(name="dsg", rules=rules, judge="shapes_oracle"), specs, rows)
        write_scores(folder, table, values)
        return summarise_rows(rows, specs, "official", metric="dsg", judge="shapes_oracle")


WARNINGS = {"base": ("3 of 1344 answers are neither yes nor no; they score 0",)}
QUESTION_ROWS = [
    {"id": str(i), "question": "Is it?", "dependency": str(min(i - 1, 1)), "category_broad": b, "category_detailed": d}
    for i, (b, d) in enumerate(QUESTIONS, start=1)
]


def answers(seed: str, variant: str) -> tuple[Atom, ...]:
    rng = random.Random(seed)
    hardness = [0.6 + 0.4 * rng.random() * (i + 1) / 3 for i in range(4)]
    return tuple(
        Atom(key=q["id"], value=float(rng.random() * h < STRENGTH[variant] * 0.9))
        for q, h in zip(QUESTION_ROWS, hardness, strict=True)
    )


def image_value(row: ItemAtoms, rule: str) -> float | None:
    from selma_plugins.evaluation.dsg_scores import questions_of

    return rule_of(rule).image(questions_of(row.atoms, {"questions": QUESTION_ROWS}))


def demo_prompts(skill: str, count: int, prefix: str) -> list[Prompt]:
    texts = {
        "paragraph": "In this picture a small red circle is to the left of a large blue square on a grey background",
        "count": "three green triangles",
        "general": "a yellow star above a purple ring",
    }
    return [Prompt(id=f"{prefix}_{skill}_{i:03d}", text=f"{texts[skill]}, no. {i}", skill=skill) for i in range(count)]


RECIPE = {
    "summary": "SELMA end to end on the bundled world, in minutes on a CPU (the demo)",
    "seed": 0,
    "axes": {"skill": list(SKILLS), "variant": {name: {} for name in STRENGTH}},
    "stages": {
        "prompts": {"kind": "prompt_source", "use": "grammar", "foreach": "skill", "options": {"n": 200}},
        "images": {"kind": "image_generator", "use": "diffusers", "foreach": "skill", "from": {"prompts": "prompts"}},
        "expert": {"kind": "adapter_trainer", "use": "lora", "foreach": "skill", "from": {"images": "images"}},
        "merge": {"kind": "merge_strategy", "use": "linear", "from": {"adapters": "expert"}},
        "bench": {
            "kind": "prompt_source",
            "use": "benchmark_prompts",
            "options": {"benchmark": "shapes", "per_group": 24},
        },
        "sample": {"kind": "image_generator", "use": "diffusers", "foreach": "variant", "from": {"prompts": "bench"}},
        "score": {
            "kind": "evaluator",
            "use": "dsg",
            "foreach": "variant",
            "from": {"images": "sample"},
            "options": {"judge": {"use": "openai", "options": {"model": "m", "api_key": "sk-very-secret"}}},
        },
    },
    "report": {
        "scores": "score",
        "headline": "dsg",
        "baseline": "base",
        "compare": [["merged", "base"], ["merged", "joint"], ["merged", "experts"], ["expert_general", "joint"]],
    },
}  # fmt: skip


def recipe() -> Recipe:
    return Recipe(name="shapes", path=None, data=dict(RECIPE), origins={"stages.merge.use": "the command line"})


def finished(builder: Builder, recipe: Recipe, summaries: dict[str, dict[str, Summary]]) -> Run:
    result = {
        "run": "20261122-104500-ab12",
        "seconds": 423.0,
        "scores": {v: {m: score_entry(s, 0) for m, s in found.items()} for v, found in summaries.items()},
        "comparisons": comparisons(single_runs(summaries), recipe.data["report"]["compare"], "base"),
    }
    return Run(
        run_id="20261122-104500-ab12", recipe=recipe, nodes=tuple(builder.nodes), store=builder.folder,
        report=None, result=result, summaries=summaries,
    )  # fmt: skip


def build_run(folder: Path, size: int = 64) -> Run:
    builder = Builder(folder, size)
    rejected = (
        *(Rejected(text=f"three green triangles, {i}", reason="rouge", detail="0.91 to 'three'") for i in range(17)),
        Rejected(text=INJECTION, reason="vocabulary", detail="unknown: script"),
    )
    for skill in SKILLS:
        builder.prompts("prompts", {"skill": skill}, demo_prompts(skill, 40, "p"), rejected if skill == "count" else ())
        builder.images("images", {"skill": skill}, demo_prompts(skill, 12, "p"), f"prompts[{skill}]")
        builder.adapter("expert", {"skill": skill})
    builder.search()
    judged = [prompt for skill in SKILLS for prompt in demo_prompts(skill, 24, "shapes")]
    judged[0] = attrs.evolve(judged[0], text=INJECTION)
    builder.prompts("bench", {}, judged, ())
    for variant in STRENGTH:
        builder.images("sample", {"variant": variant}, judged, "bench", 2)
    summaries = {variant: {"dsg": builder.scores(variant, judged, 2)} for variant in STRENGTH}
    return finished(builder, recipe(), summaries)


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return build_run(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def demo_report(demo_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(demo_run, tmp_path_factory.mktemp("report") / "run" / "report.html")


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Run]:
    def make(size: int = 64) -> Run:
        return build_run(tmp_path / "store", size)

    return make
