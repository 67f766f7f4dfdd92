"""Scoring stored observations imports no model library; records build what they name."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest
from selma_plugins.vqa.plugin import selma_evaluators

from selma_core.options import info
from selma_core.protocols import Comparing, Evaluator
from tests.vqa.kit import JUDGE

CODE = """
import sys
from importlib import import_module
from selma_core.data import Atom, ItemAtoms
from selma_core.options import Slot
from selma_plugins.vqa.plugin import selma_evaluators
import selma_core.scoring
P = {"Yes": 0.5, "No": 0.5, "yes": 0.5, "no": 0.5}
SPEC = {
    "template": "qwen", "groups": ["g"], "phrases": ["a"], "found_by": "template",
    "questions": [{"id": "00", "question": "?", "answer": "Yes", "choices": ["Yes", "No"], "skill": "object",
                   "category": "action"}],
}
atoms = tuple(Atom(key=key, value=0.5, data={"p": P}) for key in ("score", "mine_first", "mine_second"))
for record in selma_evaluators():
    module, _, name = record.factory.partition(":")
    fields = {"benchmark": "b"} if record.name == "geneval2" else {}
    evaluator = getattr(import_module(module), name)(record.options(judge=Slot("j"), **fields))
    mine = atoms if record.name in ("vqascore", "llm_judge") else (Atom(key="00", value=0.5),)
    rows = [ItemAtoms(item_id="p-0", prompt_id="p", k=0, atoms=mine)]
    for rule in evaluator.info.rules:
        assert evaluator.score(mine, SPEC, rule) == 0.5, (record.name, rule)
        assert evaluator.aggregate(rows, {"p": SPEC}, rule).mean == 50, (record.name, rule)
heavy = {"torch", "transformers", "diffusers", "peft", "scipy", "PIL", "httpx"} & sys.modules.keys()
assert not heavy, heavy
"""


def test_scoring_imports_no_torch() -> None:
    subprocess.run([sys.executable, "-c", CODE], check=True)


@pytest.mark.parametrize("record", tuple(selma_evaluators()), ids=lambda record: record.name)
def test_records_build_evaluators(record: object) -> None:
    module, _, name = record.factory.partition(":")  # type: ignore[attr-defined]
    fields = {"benchmark": "b"} if record.name == "geneval2" else {}  # type: ignore[attr-defined]
    options = record.options(judge=JUDGE, **fields)  # type: ignore[attr-defined]
    evaluator = getattr(import_module(module), name)(options)
    assert isinstance(evaluator, Evaluator)
    assert evaluator.info.name == record.name  # type: ignore[attr-defined]
    assert isinstance(evaluator, Comparing) == (record.name == "llm_judge")  # type: ignore[attr-defined]


def test_rules_and_batches_stay_out_of_the_fingerprint() -> None:
    for record in selma_evaluators():
        fields = {field.name: info(field).changes_results for field in record.options.__attrs_attrs__}
        kept = {name for name, matters in fields.items() if not matters}
        assert kept - {"rule", "formula"} == {"batch"}, record.name
