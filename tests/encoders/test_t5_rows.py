"""`longalign` with T5 rows against its definition, on a tiny CLIP and a tiny T5."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from selma_plugins.diffusion.embeddings import EmbeddingCache, warn_cut
from selma_plugins.encoders.longalign import LongAlignEncoder
from selma_plugins.encoders.options import LongAlignOptions
from selma_plugins.encoders.t5 import T5Rows, last_states
from selma_plugins.encoders.text_adapter import TextAdapter, Widths, fresh
from torch import Tensor

from selma_core.errors import ArtifactError, ModelError, UserError
from selma_core.protocols import (
    AdjustableEncoder,
    Counting,
    Embeddings,
    EncoderLearner,
    LearntEncoder,
    TextEncoder,
    TrainableEncoder,
)
from selma_core.testing import ConformanceError, check_text_encoder
from tests.long_stage import LongContext, t5_folder

TEXT = "a red cat. two hats! a blue circle left of it"
ROWS, CLIP = 24, 40
Tiny = Callable[[str], Any]


@pytest.fixture(scope="session")
def t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of width 24, so that it is not CLIP's 32."""
    return t5_folder(tmp_path_factory.mktemp("t5") / "t5", 24)


def encoder(t5: Path, **options: Any) -> LongAlignEncoder:
    return LongAlignEncoder(LongAlignOptions(**{"clip_len": CLIP, "t5": str(t5), "t5_len": ROWS, **options}))


def loaded(t5: Path, pipeline: Any, seed: int = 3, **options: Any) -> LongAlignEncoder:
    """With a fresh adapter, as a trainer would store it."""
    learner = encoder(t5, **options, t5_hidden=20).learner(pipeline, seed)
    assert learner is not None
    found = encoder(t5, **options, t5_hidden=20)
    found.load_learnt({name: weight.detach() for name, weight in learner.weights.items()}, {"longalign": learner.about})
    return found


def by_hand(t5: Path, text: str, rows: int = ROWS, mask: bool = False) -> Tensor:
    """T5's states of one text, padded to `rows`."""
    from transformers import AutoTokenizer, T5EncoderModel

    tokenizer = AutoTokenizer.from_pretrained(t5)
    ids = tokenizer(text, max_length=rows, padding="max_length", truncation=True, return_tensors="pt")
    seen = {"attention_mask": ids["attention_mask"]} if mask else {}
    with torch.no_grad():
        return T5EncoderModel.from_pretrained(t5).eval()(input_ids=ids["input_ids"], **seen).last_hidden_state[0]


def test_the_adapter_has_the_papers_size_and_formula() -> None:
    assert sum(p.numel() for p in TextAdapter(Widths(t5=1024, hidden=896, clip=768)).parameters()) == 21_254_528
    adapter = fresh(0, Widths(t5=6, hidden=5, clip=4))
    x = torch.randn(2, 3, 6)
    weights = dict(adapter.named_parameters())

    def half(x: Tensor, n: int) -> Tensor:
        x = torch.nn.functional.layer_norm(x, x.shape[-1:], weights[f"norm{n}.weight"], weights[f"norm{n}.bias"])
        wide = x @ weights[f"gated{n}.widen.weight"].T + weights[f"gated{n}.widen.bias"]
        value, gate = wide[..., : wide.shape[-1] // 2], wide[..., wide.shape[-1] // 2 :]
        inner = value * (0.5 * gate * (1 + torch.erf(gate / 2**0.5)))
        return inner @ weights[f"gated{n}.narrow.weight"].T + weights[f"gated{n}.narrow.bias"]

    assert torch.allclose(adapter(x), half(half(x, 1), 2), atol=1e-6)
    assert adapter.gated1.narrow.weight.shape == (5, 24)
    assert {module.p for module in adapter.modules() if isinstance(module, torch.nn.Dropout)} == {0.1}


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.integers(0, 3))
def test_the_adapter_takes_any_widths_and_each_row_by_itself(wide: int, hidden: int, out: int, seed: int) -> None:
    adapter, x = fresh(seed, Widths(t5=wide, hidden=hidden, clip=out)), torch.randn(2, 3, wide)
    found = adapter(x)
    assert found.shape == (2, 3, out)
    assert torch.allclose(adapter(x.flip(1)).flip(1), found, atol=1e-5)
    assert all(
        torch.equal(a, b)
        for a, b in zip(
            adapter.parameters(), fresh(seed, Widths(t5=wide, hidden=hidden, clip=out)).parameters(), strict=True
        )
    )


def test_t5_rows_stand_behind_clips(tiny: Tiny, t5: Path) -> None:
    pipeline = tiny("sd")
    found = loaded(t5, pipeline).encode(pipeline, [TEXT, ""])
    assert found.hidden.shape == (2, CLIP + ROWS, 32)
    assert found.mask is None
    assert found.raw is None
    alone = LongAlignEncoder(LongAlignOptions(clip_len=CLIP)).encode(pipeline, [TEXT, ""]).hidden
    assert torch.equal(found.hidden[:, :CLIP], alone)
    adapter = fresh(3, Widths(t5=24, hidden=20, clip=32))
    for row, text in zip(found.hidden[:, CLIP:], [TEXT, ""], strict=True):
        assert torch.allclose(row, adapter(by_hand(t5, text)), atol=1e-5)


def test_without_a_mask_padding_changes_words_and_with_one_it_does_not(t5: Path) -> None:
    """Parity with released weights needs exactly as many rows, and no mask."""
    cpu, word = torch.device("cpu"), len("a cat")
    for masked in (False, True):
        few, many = (
            T5Rows(str(t5), rows, masked=masked, context=None).states(["a cat"], cpu)[0] for rows in (ROWS, 2 * ROWS)
        )
        assert torch.allclose(few, by_hand(t5, "a cat", mask=masked), atol=1e-5)
        assert torch.allclose(few[:word], many[:word], atol=1e-5) is masked
        assert (few[:word] - many[:word]).abs().max() > 1e-2 or masked


def test_the_batch_changes_nothing_and_what_is_cut_has_no_effect(tiny: Tiny, t5: Path) -> None:
    pipeline = tiny("sd")
    one = loaded(t5, pipeline)
    both = one.encode(pipeline, ["a cat", TEXT]).hidden
    assert torch.allclose(both[:1], one.encode(pipeline, ["a cat"]).hidden, atol=1e-5)
    cut = one.encode(pipeline, [TEXT[:ROWS] + "zzz"]).hidden[0, CLIP:]
    assert torch.allclose(both[1, CLIP:], cut, atol=1e-5)
    assert EmbeddingCache(one, pipeline).batch(["a cat", TEXT, ""]).hidden.shape[0] == 3


def test_longalign_04_a_prompt_in_any_container_is_the_same_rows(tiny: Tiny, t5: Path) -> None:
    """One kind of prompt: CLIP's and T5's rows come from the same text, whoever holds it and whatever is beside it."""
    pipeline = tiny("sd")
    one = loaded(t5, pipeline)
    given: list[Sequence[str]] = [[TEXT], (TEXT,), [TEXT, "a cat"]]
    first, *others = (one.encode(pipeline, prompts).hidden[0] for prompts in given)
    for other in others:
        assert torch.allclose(first[:CLIP], other[:CLIP], atol=1e-5)
        assert torch.allclose(first[CLIP:], other[CLIP:], atol=1e-5)


def test_longalign_15_both_forms_of_t5s_output_are_read() -> None:
    states = torch.ones(1, 3, 4)
    assert last_states(SimpleNamespace(last_hidden_state=states, pooler_output=None)) is states
    assert last_states((states, torch.zeros(1, 3, 4))) is states


def test_tokens_that_t5_cuts_off_are_counted_too(tiny: Tiny, t5: Path) -> None:
    pipeline = tiny("sd")
    clip = LongAlignEncoder(LongAlignOptions(clip_len=CLIP)).usage(pipeline, [TEXT])[0]
    found = encoder(t5).usage(pipeline, [TEXT])[0]
    assert found.dropped == clip.dropped + len(TEXT) - ROWS
    assert found.tokens == clip.tokens + ROWS
    whole = encoder(t5, t5_len=60).usage(pipeline, ["a cat"])[0]
    assert (whole.segments, whole.dropped) == (1, 0)
    lines: list[str] = []
    short = "a red cat. two hats! a blue hat"  # CLIP reads all of it
    warn_cut(pipeline, [short, "a cat"], lines.append, encoder(t5, clip_len=90))
    assert len(lines) == 1
    assert f"1 of 2 prompts are cut: {len(short) - ROWS} tokens have no effect" in lines[0]


def test_states_and_weights_are_apart_and_the_gradient_reaches_the_adapter(tiny: Tiny, t5: Path) -> None:
    pipeline = tiny("sd")
    one = encoder(t5, t5_hidden=20)
    learner = one.learner(pipeline, 3)
    assert isinstance(one, TextEncoder)
    assert isinstance(one, Counting)
    assert isinstance(one, LearntEncoder)
    assert isinstance(one, TrainableEncoder)
    assert isinstance(learner, EncoderLearner)
    states = learner.states(pipeline, [TEXT, ""])
    assert states.hidden.shape == (2, CLIP, 32)
    assert states.raw is not None
    assert states.raw.shape == (2, ROWS, 24)
    assert not states.raw.requires_grad
    found = learner.adapt(states, None)
    assert torch.equal(found.hidden, loaded(t5, pipeline).encode(pipeline, [TEXT, ""]).hidden)
    found.hidden.square().sum().backward()  # type: ignore[no-untyped-call]
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in learner.weights.values())
    assert all(weight.dtype is torch.float32 for weight in learner.weights.values())
    dropped = [learner.adapt(states, seed).hidden for seed in (1, 1, 2)]
    assert torch.equal(dropped[0], dropped[1])
    assert not torch.allclose(dropped[0], dropped[2])
    assert torch.equal(dropped[0][:, :CLIP], found.hidden[:, :CLIP])
    assert torch.equal(learner.adapt(states, None).hidden, found.hidden), "dropout is off again"


def test_cached_states_come_back_from_disk(tiny: Tiny, t5: Path, tmp_path: Path) -> None:
    from selma_plugins.training.data import moved
    from selma_plugins.training.teaching import States

    learner = encoder(t5).learner(tiny("sd"), 0)
    assert learner is not None
    made = EmbeddingCache(States(learner), tiny("sd"), tmp_path).batch([TEXT, ""])

    class Closed:
        def encode(self, pipeline: Any, prompts: Sequence[str]) -> Embeddings:
            raise AssertionError("asked again")

    read = EmbeddingCache(Closed(), tiny("sd"), tmp_path).batch([TEXT, ""])
    assert made.raw is not None
    assert read.raw is not None
    assert torch.equal(read.raw, made.raw)
    half = moved(read, torch.device("cpu"), torch.bfloat16)
    assert half.raw is not None
    assert (half.hidden.dtype, half.raw.dtype) == (torch.bfloat16, torch.float32)


def test_it_passes_the_conformance_kit(tiny: Tiny, t5: Path) -> None:
    check_text_encoder(lambda _: loaded(t5, tiny("sd")), None, pipeline=tiny("sd"))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("no raw", "states must have 'raw'"),
        ("raw left", "without 'raw'"),
        ("frozen", r"no gradient reaches \['adapter"),
    ],
)
def test_the_kit_finds_a_learner_that_teaches_nothing(tiny: Tiny, t5: Path, fault: str, words: str) -> None:
    one = loaded(t5, tiny("sd"))
    right = one.learner(tiny("sd"), 0)
    assert right is not None

    extra = {"adapter.unused": torch.nn.Parameter(torch.zeros(1))} if fault == "frozen" else {}

    class Wrong:
        about = right.about

        @property
        def weights(self) -> dict[str, torch.nn.Parameter]:
            return {**right.weights, **extra}

        def states(self, pipeline: Any, prompts: Sequence[str]) -> Embeddings:
            found = right.states(pipeline, prompts)
            return attrs.evolve(found, raw=None) if fault == "no raw" else found

        def adapt(self, states: Embeddings, seed: int | None) -> Embeddings:
            found = right.adapt(states, seed)
            return attrs.evolve(found, raw=states.raw) if fault == "raw left" else found

    one.learner = lambda *_: Wrong()  # type: ignore[assignment, method-assign, return-value]
    with pytest.raises(ConformanceError, match=words):
        check_text_encoder(lambda _: one, None, pipeline=tiny("sd"))


def test_what_does_not_go_is_told(tiny: Tiny, t5: Path, tmp_path: Path, folder: Callable[[str], Path]) -> None:
    pipeline = tiny("sd")
    with pytest.raises(UserError, match="'longalign' with t5 has learnt nothing"):
        encoder(t5).encode(pipeline, ["a cat"])
    with pytest.raises(UserError, match="t5 is for models with one text encoder"):
        encoder(t5).encode(tiny("sdxl"), ["a cat"])
    clip = folder("sd") / "text_encoder"
    with pytest.raises(UserError, match="holds a model of type 'clip_text_model', not 't5'"):
        encoder(clip).usage(pipeline, ["a cat"])
    with pytest.raises(ModelError, match="no model at"):
        encoder(tmp_path / "none").usage(pipeline, ["a cat"])
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "config.json").write_bytes((t5 / "config.json").read_bytes())
    with pytest.raises(ModelError, match="holds no tokenizer"):
        encoder(tmp_path / "bare").usage(pipeline, ["a cat"])
    with pytest.raises(ModelError, match="cannot be loaded as a T5 encoder"):
        T5Rows(str(tmp_path / "bare"), 4, masked=False, context=None)._loaded(torch.device("cpu"))


def test_weights_that_are_not_all_there_are_refused(t5: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    for file in t5.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tensors = load_file(tmp_path / "model.safetensors")
    gone = next(name for name in tensors if name.endswith("SelfAttention.k.weight"))
    save_file({k: v for k, v in tensors.items() if k != gone}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"lack encoder\.block\.0.*SelfAttention\.k\.weight \(1 missing\)"):
        T5Rows(str(tmp_path), 4, masked=False, context=None).states(["a"], torch.device("cpu"))


def test_learnt_weights_must_be_of_this_t5_and_this_model(tiny: Tiny, t5: Path, tmp_path: Path) -> None:
    pipeline = tiny("sd")
    context = LongContext(tmp_path)

    def attached(path: Path) -> LongAlignEncoder:
        made = encoder(path)
        made.attach(context)
        return made

    learner = attached(t5).learner(pipeline, 0)
    assert learner is not None
    tensors, card = dict(learner.weights), {"longalign": dict(learner.about)}
    attached(t5).load_learnt(tensors, card)
    with pytest.raises(ArtifactError, match=r"trained on another T5 \(sha256:"):
        attached(t5_folder(tmp_path / "other", 24, seed=8)).load_learnt(tensors, card)
    with pytest.raises(ArtifactError, match=r"is for a T5 of width 24, '.*' has 16"):
        attached(t5_folder(tmp_path / "small", 16)).load_learnt(tensors, card)
    with pytest.raises(ArtifactError, match=r"do not fit its card, first: 'adapter\.norm1\.weight'"):
        attached(t5).load_learnt({k: v for k, v in tensors.items() if "norm1.weight" not in k}, card)
    with pytest.raises(ArtifactError, match=r"no 'longalign\.widths'"):
        attached(t5).load_learnt(tensors, {})
    with pytest.raises(ArtifactError, match="'t5' is null; name the T5"):
        LongAlignEncoder(LongAlignOptions()).load_learnt(tensors, card)
    wide = attrs.asdict(Widths(t5=24, hidden=896, clip=48))
    one = attached(t5)
    one.load_learnt(
        {f"adapter.{k}": v for k, v in fresh(0, Widths(**wide)).state_dict().items()}, {"longalign": {"widths": wide}}
    )
    with pytest.raises(ArtifactError, match="gives rows of width 48, the model's text encoder of 32"):
        one.encode(pipeline, ["a cat"])


def test_without_t5_there_is_nothing_to_teach_or_to_adjust(tiny: Tiny) -> None:
    plain = LongAlignEncoder(LongAlignOptions())
    assert plain.learner(tiny("sd"), 0) is None
    assert isinstance(plain, AdjustableEncoder)
    assert plain.adjustable == ()
