"""Bundled recipes and ablations plan without a network; Stable Diffusion recipes run on tiny random pipelines."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from safetensors import safe_open

import selma_core
from selma_core.ablation import open_ablation
from selma_core.errors import UserError
from selma_core.graph.node import Node
from tests import tiny_models

REGISTRY = Path(__file__).parents[2] / "registry/selma_registry"
RECIPES = sorted((REGISTRY / "recipes").glob("*.yaml"))
ABLATIONS = sorted((REGISTRY / "ablations").glob("*.yaml"))
REPLY = "4. a red circle\n5. two blue cats\n6. the hat left of a square"
CHAT = json.dumps({"use": "scripted", "options": {"replies": [REPLY], "repeat": True}})


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a connection, or even a socket, fails."""

    def refuse(*_: object, **__: object) -> Any:
        raise AssertionError("the network was asked for")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)


SKILLS = ("paragraph", "count", "real_user", "counterfactual", "general")


@pytest.fixture(autouse=True)
def ground_truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Captions and pictures of one's own, in the folder in which SELMA is started."""
    for skill in SKILLS:
        folder = tmp_path / "ground_truth" / skill
        folder.mkdir(parents=True)
        rows = [{"file_name": f"{i}.png", "text": f"{skill}, picture {i}"} for i in range(3)]
        (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        for i, row in enumerate(rows):
            Image.new("RGB", (64, 48), (80 * i, 40, 200)).save(folder / row["file_name"])
    monkeypatch.chdir(tmp_path)


def small(model: Path) -> Sequence[str]:
    """Overrides that leave a recipe's stages and plugins as they are, and cut down what they do."""
    trainer = {"rank": 2, "steps": 2, "batch_size": 2, "accumulation": 1, "save_every": 1, "heldout": 0.5}
    return [
        "axes.skill=[count, general]",
        f"stages.prompts.options.chat={CHAT}",
        "stages.prompts.options.n=3",
        f"stages.images.options.model={model}",
        "stages.images.options.steps=2",
        "stages.images.options.dtype=float32",  # half precision needs a GPU
        f"stages.expert.options.model={model}",
        "stages.expert.options.precision=no",
        *(f"stages.expert.options.{name}={value}" for name, value in trainer.items()),
    ]


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", [path.stem for path in RECIPES])
def test_a_bundled_recipe_plans_without_a_network(name: str, tmp_path: Path) -> None:
    rows = selma_core.plan(name, store=tmp_path / "store")
    assert {row.status for row in rows} <= {"run", "shared"}
    assert {"bench", "sample", "score"} <= {row.node.label for row in rows}


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", [path.stem for path in ABLATIONS])
def test_a_bundled_ablation_plans_without_a_network(name: str, tmp_path: Path) -> None:
    opened = open_ablation(name, store=tmp_path / "store")
    # Variants that share nothing were no ablation; seeds alone share nothing.
    assert {row.status for row in opened.plan} == ({"run", "shared"} if len(opened.ablation.variants) > 1 else {"run"})
    claims = opened.ablation.claims  # opening has checked their rows
    assert all(claim.source for claim in claims)
    assert len({claim.text for claim in claims}) == len(claims)


def graph_of(name: str, store: Path) -> dict[str, Node]:
    """What an ablation's rows need under its first seed; of a stage that they have differently, the first row's."""
    nodes: dict[str, Node] = {}
    opened = open_ablation(name, store=store)
    for measured in opened.rows.values():
        place = next(iter(measured.values()))
        for node in opened.sessions[place.session].graph:
            nodes.setdefault(node.id, node)
    return nodes


@pytest.mark.parametrize("name", [path.stem for path in ABLATIONS])
def test_a_row_called_base_is_the_model_as_it_is(name: str, tmp_path: Path) -> None:
    opened = open_ablation(name, store=tmp_path / "store")
    for place in opened.rows.get("base", {}).values():
        graph = opened.sessions[place.session].graph
        drawn = next(node for node in graph if node.id == f"sample[{place.variant}]")
        assert "adapter" not in drawn.inputs


def test_the_joint_runs_of_table_2_are_what_the_recipe_says(tmp_path: Path) -> None:
    graph = graph_of("selma_table2", tmp_path)
    steps = {node.id: node.bound.steps for node in graph.values() if node.label in ("joint", "expert")}
    experts = [count for name, count in steps.items() if name.startswith("expert")]
    assert steps["joint[3]"] == steps["joint[5]"] == experts[0]
    assert steps["joint[5_long]"] == sum(experts)
    assert len(graph["joint[3]"].inputs["images"]) == len(graph["merge[3]"].inputs["adapters"]) == 3
    assert len(graph["joint[5]"].inputs["images"]) == len(graph["merge[5]"].inputs["adapters"]) == 5


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("selma_table2", "merge[5]"), ("selma_weak_to_strong", "merge[self]")),
        (("selma_table2", "expert[count]"), ("rank_and_steps", "expert[count]")),
        (("selma_gt_vs_auto", "merge[gt_prompts]"), ("selma_llm", "merge[grammar]")),
        (("selma_gt_vs_auto", "merge[auto]"), ("selma_llm", "merge[smollm2]")),
        (("selma_gt_vs_auto", "images[count,gt_prompts]"), ("selma_llm_live", "images[count]")),
    ],
)
def test_ablations_share_what_their_files_say(one: tuple[str, str], other: tuple[str, str], tmp_path: Path) -> None:
    first, second = (graph_of(name, tmp_path)[node].fingerprint for name, node in (one, other))
    assert first == second


def test_the_guide_lists_every_bundled_ablation(root: Path) -> None:
    rows = [
        line for line in (root / "docs/how-to/write_an_ablation.md").read_text().splitlines() if line.startswith("| `")
    ]
    listed = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert {path.stem for path in ABLATIONS} <= listed


def test_shapes_joint_trains_jointly_for_one_expert_and_for_five(tmp_path: Path) -> None:
    opened = open_ablation("shapes_joint", store=tmp_path / "store")
    merged, once, five = (opened.sessions[name].graph for name in ("merged", "joint_1x", "joint_5x"))
    assert merged["sample[joint]"].inputs["adapter"] == ("merge",)
    steps = [graph["joint"].bound.steps for graph in (once, five)]
    experts = [node.bound.steps for node in merged if node.label == "expert"]
    assert steps == [experts[0], sum(experts)]
    assert once["joint"].bound.batch_size == five["joint"].bound.batch_size == merged["expert[count]"].bound.batch_size


@pytest.mark.usefixtures("no_network")
def test_the_block_is_one() -> None:
    with pytest.raises(AssertionError, match="network"):
        socket.create_connection(("localhost", 9))


@pytest.mark.parametrize(("name", "make"), [("selma_sdxl", tiny_models.sdxl), ("selma_sd14", tiny_models.sd)])
def test_a_recipe_runs_to_its_merge_on_a_tiny_model(
    name: str, make: Callable[[Path], Path], tmp_path: Path, no_network: None
) -> None:
    run = selma_core.run(name, small(make(tmp_path / "model")), store=tmp_path / "store", until=["merge"])
    assert run.ok, [node.error for node in run.failed]
    assert {node.label for node in run.nodes} == {"prompts", "images", "expert", "merge"}
    for skill in ("count", "general"):
        assert len(run.prompts(f"prompts[{skill}]").prompts) == len(run.images(f"images[{skill}]")) == 3
        assert ranks(run.adapter(f"expert[{skill}]")) == {2}
    assert ranks(run.adapter("merge")) == {4}  # the exact mean of two experts


def test_ground_truth_of_ones_own_trains_beside_what_is_generated(tmp_path: Path, no_network: None) -> None:
    model = tiny_models.sd(tmp_path / "model")
    # What draws is not the same plugin in every arm, so its options stand in the arms.
    overrides = [one for one in small(model) if not one.startswith("stages.images.options")]
    drawn = f"images.options={{model: {model}, steps: 2, dtype: float32}}"
    overrides += [f"axes.data.{arm}.{drawn}" for arm in ("gt_prompts", "auto")]
    overrides += ["stages.expert.options.resolution=32"]
    run = selma_core.run("selma_gt_vs_auto_sd2", overrides, store=tmp_path / "store", until=["merge"])
    assert run.ok, [node.error for node in run.failed]
    for data in ("ground_truth", "gt_prompts", "auto"):
        assert len(run.images(f"images[count,{data}]")) == 3
        assert ranks(run.adapter(f"merge[{data}]")) == {4}
    sizes = [Image.open(item.path).size for item in run.images("images[count,ground_truth]")]
    assert sizes == [(64, 48)] * 3


def test_ground_truth_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path.parent)
    with pytest.raises(UserError, match=r"ground_truth/paragraph/metadata\.jsonl does not exist"):
        selma_core.plan("selma_gt_vs_auto_sd2", store=tmp_path / "store")


def ranks(adapter: Path) -> set[int]:
    with safe_open(adapter, "pt") as file:
        return {file.get_slice(name).get_shape()[0] for name in file.keys() if name.endswith("lora_A.weight")}  # noqa: SIM118
