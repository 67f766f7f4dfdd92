"""The recipe on Stable Diffusion says what the paper's settings are, and its protocol runs on a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import selma_core
from selma_core.session import open_session
from tests import tiny_models
from tests.preference import support

COMPLEX = "axes.variant.complex.sample.options.text_encoder.options"
SMALL = ("steps=2", "dtype=float32")


def test_it_has_the_papers_settings_and_protocol(tmp_path: Path) -> None:
    found = open_session("sur_sd15", (), store=tmp_path / "store").graph
    adapter = found["adapter"].bound
    assert (adapter.eta, adapter.llm_weight, adapter.prompt_weight, adapter.diffusion_weight) == (0.1, 1e-5, 1e-5, 1.0)
    assert (adapter.lr, adapter.steps, adapter.batch_size, adapter.accumulation) == (1e-5, 5000, 1, 4)
    categories = [found[f"{label}[sur]"].bound.categories for label in ("action", "color", "counting")]
    assert categories == [["action"], ["color"], ["counting"]]
    assert found["preferred[sur]"].inputs["baseline"] == ("sample[base]",)
    judges = {found[f"{label}[sur]"].bound.judge.options["model"] for label in ("action", "preferred")}
    assert found["pairs"].bound.captioner.options["model"] not in judges, "who wrote the captions does not judge"


def chat(**options: object) -> str:
    return json.dumps({"use": "scripted", "options": options})


@pytest.mark.slow
def test_it_runs_to_its_table_with_recorded_judges(tmp_path: Path) -> None:
    model = tiny_models.sd(tmp_path / "model")
    clip = tmp_path / "clip"
    support.clip_model(support.clip_tokenizer(clip)).save_pretrained(clip)
    judge = chat(answers={"What color": "green", "How many": "two", "Is the": "yes", "Are the": "yes"})
    run = selma_core.run(
        "sur_sd15",
        [
            "axes.skill=[general]",
            "stages.prompts.options.n=2",
            f"stages.prompts.options.chat={chat(replies=['4. a red circle', '5. two blue cats'], repeat=True)}",
            f"stages.pairs.options.captioner={chat(replies=['a cat'], repeat=True)}",
            *(f"stages.{label}.options.model={model}" for label in ("images", "adapter", "sample")),
            *(f"stages.{label}.options.{name}" for label in ("images", "sample") for name in SMALL),
            *(f"stages.adapter.options.{name}" for name in ("steps=1", "precision=no", "llm_weight=0", "teacher=")),
            "stages.adapter.options.heldout=0",
            "stages.bench.options.per_group=2",
            *(f"stages.{label}.options.judge={judge}" for label in ("action", "color", "counting")),
            f"{COMPLEX}.chat={chat(replies=['a cat, sharp'], repeat=True)}",
            f"stages.preferred.options.judge={chat(replies=['first', 'second'], repeat=True)}",
            *(f"stages.{label}.use=clipscore" for label in ("pickscore", "imagereward")),
            *(f"stages.{label}.options.model={clip}" for label in ("score", "pickscore", "imagereward")),
            "runtime.executor={use: inline, options: {}}",
        ],
        store=tmp_path / "store",
    )
    assert run.ok, [(node.id, node.error) for node in run.failed]
    scores = run.result["scores"]
    assert set(scores) == {"base", "shrunk", "sur", "complex"}
    for found in scores.values():
        assert found["action_accuracy"]["mean"] == 100
        assert {"low", "high"} <= found["color_accuracy"].keys()
        assert found["counting_accuracy"]["n_prompts"] == 2
    assert scores["base"]["llm_judge"]["mean"] == 50, "the base against itself"
    assert scores["sur"]["llm_judge"]["mean"] == 100
    texts = [{item.prompt.text for item in run.images(f"sample[{name}]")} for name in ("base", "complex")]
    assert texts[0] == texts[1], "judged by the simple prompt"
    hashes = [{item.sha256 for item in run.images(f"sample[{name}]")} for name in ("base", "complex")]
    assert hashes[0].isdisjoint(hashes[1])
    assert run.report is not None
    text = run.report.read_text()
    assert all(f"{name}_accuracy" in text for name in ("action", "color", "counting"))
