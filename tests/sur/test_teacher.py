"""Vectors of a language model: which layer, how pooled, kept by text and reading."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers
from selma_plugins.sur.teacher import Reading, Teacher, lesson

from selma_core.errors import ModelError, UserError

TEXT = "a red cat"


def states(teacher: Path, text: str = TEXT) -> tuple[torch.Tensor, ...]:
    """transformers' own hidden states: the embedding, then each block's; the last one is after the final norm."""
    model = transformers.AutoModelForCausalLM.from_pretrained(teacher)
    ids = transformers.AutoTokenizer.from_pretrained(teacher)(text, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        return model(input_ids=ids, output_hidden_states=True).hidden_states


def vector(teacher: Path, cache: Path, text: str = TEXT, **reading: object) -> torch.Tensor:
    return Teacher(str(teacher), Reading(**reading), None, cache).vectors([text])[0]  # type: ignore[arg-type]


def test_a_middle_layer_is_transformers_hidden_state(teacher: Path, tmp_path: Path) -> None:
    found = states(teacher)
    assert torch.allclose(vector(teacher, tmp_path, layer=0), found[1][0].mean(0), atol=1e-6)
    assert torch.allclose(vector(teacher, tmp_path, layer=0, pool="last"), found[1][0, -1], atol=1e-6)
    assert torch.allclose(vector(teacher, tmp_path, layer=0, drop_bos=True), found[1][0, 1:].mean(0), atol=1e-6)


def test_the_last_layer_is_read_before_the_final_norm(teacher: Path, tmp_path: Path) -> None:
    last = vector(teacher, tmp_path, layer=-1, pool="last")
    assert torch.equal(last, vector(teacher, tmp_path, layer=1, pool="last"))
    normed = states(teacher)[-1][0, -1]
    assert not torch.allclose(last, normed, atol=1e-3)
    norm = transformers.AutoModelForCausalLM.from_pretrained(teacher).model.norm
    assert torch.allclose(norm(last), normed, atol=1e-5)


def test_vectors_are_kept_by_text_and_reading(teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = vector(teacher, tmp_path)
    monkeypatch.setattr(Teacher, "_model", lambda self: pytest.fail("loaded again"))
    assert torch.equal(vector(teacher, tmp_path), first)
    with pytest.raises(pytest.fail.Exception):
        vector(teacher, tmp_path, layer=0)
    with pytest.raises(pytest.fail.Exception):
        vector(teacher, tmp_path, "another text")


def test_what_the_teacher_has_not_is_told_in_one_line(teacher: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no layer 39; it has 2 \(0 to 1\)"):
        vector(teacher, tmp_path, layer=39)
    with pytest.raises(ModelError, match="no model at nowhere"):
        vector(Path("nowhere"), tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="cannot be loaded as a causal language model"):
        vector(tmp_path / "empty", tmp_path)


def test_outliers_go_by_standardising_or_by_name() -> None:
    vectors = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 100.0, 1.0, 0.0])
    vectors[:, 1] += 150
    even = lesson(vectors, standardise=True, drop_dims=[])
    assert torch.allclose(even.mean(0), torch.zeros(4), atol=1e-4)
    assert torch.allclose(even.std(0, unbiased=False), torch.tensor([1.0, 1.0, 1.0, 0.0]), atol=1e-4)
    dropped = lesson(vectors, standardise=False, drop_dims=[1])
    assert (dropped[:, 1] == 0).all()
    assert torch.equal(dropped[:, [0, 2, 3]], vectors[:, [0, 2, 3]])
    with pytest.raises(UserError, match=r"drop_dims: 4 is no dimension of the teacher, which has 4 \(0 to 3\)"):
        lesson(vectors, standardise=False, drop_dims=[4])
