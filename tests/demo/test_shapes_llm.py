"""`selma run shapes_llm` with the real small model: what it writes outside of the world is left out, and counted.

Needs the file: `selma models fetch smollm2_135m`, or its path in SELMA_TEST_GGUF; and `pip install 'selma[llama-cpp]'`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from selma_plugins.shapes.words import unknown_words

from selma_core.artifacts.prompts import read_prompts
from tests.chat.test_real_llm import gguf

pytestmark = pytest.mark.slow
WANTED = 4
SMALL = (f"n={WANTED}", "requests=2", "temperature=0.85", "chat.options.threads=1")  # warmer, so that it surely strays


def test_what_leaves_the_vocabulary_is_rejected_and_counted(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp", reason="pip install 'selma[llama-cpp]'")
    settings = [*SMALL, f"chat.options.model={gguf()}"]
    overrides = [part for one in settings for part in ("-o", f"stages.prompts.options.{one}")]
    command = [sys.executable, "-m", "selma_core.cli", "run", "shapes_llm", "--until", "prompts[count]", "--json"]
    more = ["--store", str(tmp_path / "store"), "-o", "runtime.executor.use=inline"]
    done = subprocess.run([*command, *more, *overrides], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    (stage,) = result["stages"]
    assert (stage["id"], stage["outcome"]) == ("prompts[count]", "ran")

    found = read_prompts(Path(stage["artifact"]))
    assert len({prompt.text for prompt in found.prompts}) == WANTED
    assert [prompt.text for prompt in found.prompts if unknown_words(prompt.text)] == []
    strayed = [one for one in found.rejected if one.reason == "vocabulary"]
    assert strayed, Counter(one.reason for one in found.rejected)
    for one in strayed:
        assert one.detail.split() == list(dict.fromkeys(unknown_words(one.text)))

    page = Path(result["report"]).read_text()
    assert f"{WANTED} kept" in page
    assert f"{len(found.rejected)} rejected" in page
    (shown,) = re.findall(r"vocabulary\D*(\d+)", page)[:1]
    assert int(shown) == len(strayed)
