"""The stages in the guide are stages: names, options and ports fit."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from selma_core.session import open_session

ROW = {"prompt": "a fox", "atom_count": 1, "vqa_list": [["Is there a fox?", "Yes"]], "skills": ["object"]}


def test_every_recipe_of_the_guide_opens(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (root / "docs/how-to/evaluate_with_questions.md").read_text()
    blocks = re.findall(r"^```yaml\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "geneval2_data.jsonl").write_text(json.dumps(ROW))
    used = set()
    for block in blocks:
        recipe = {"summary": "guide", "axes": {"variant": {"base": {}}}, **yaml.safe_load(block)}
        (tmp_path / "guide.yaml").write_text(yaml.safe_dump(recipe))
        graph = open_session(tmp_path / "guide.yaml", store=tmp_path / "store").graph
        used |= {node.offer.record.name for node in graph if node.kind == "evaluator"}
    assert used == {"vqascore", "t2i_compbench", "llm_judge", "dpg", "geneval2"}
