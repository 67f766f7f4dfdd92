"""Two small image sets of the same prompts, told apart by their colour."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from selma_core.artifacts.images import image_row, png_bytes, write_images
from selma_core.cli.app import run_app
from selma_core.data import ImageRequest, Prompt
from selma_core.files import sha256_file

INJECTION = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)> & \"quotes\""
TEXTS = ["two red circles", "a blue cat on a mat", INJECTION, "five green triangles", "a yellow star above a ring"]
COLOURS = {"a": (200, 30, 30), "b": (30, 30, 200)}


@pytest.fixture
def sets(tmp_path: Path) -> dict[str, Path]:
    """`a` is red, `b` is blue; two images of each prompt."""
    found = {}
    for name, colour in COLOURS.items():
        folder = tmp_path / f"images_{name}"
        folder.mkdir()
        rows = []
        for i, text in enumerate(TEXTS):
            for k in range(2):
                request = ImageRequest(prompt=Prompt(id=f"p{i}", text=text), k=k, seed=k)
                path = folder / request.file_name
                path.write_bytes(png_bytes(Image.new("RGB", (32, 32), (*colour[:2], colour[2] + 5 * i + k))))
                rows.append(image_row(request, sha256_file(path)))
        write_images(folder, rows)
        found[name] = folder
    return found


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs a command line; gives its JSON, or its one error line when it fails."""

    def run(*tokens: Any, code: int = 0) -> Any:
        capsys.readouterr()
        found = run_app([str(token) for token in tokens])
        out, err = capsys.readouterr()
        assert found == code, err
        if code == 0:
            return json.loads(out) if "--json" in tokens else out
        (line,) = err.strip().splitlines()
        return line.removeprefix("selma: error: ")

    return run
