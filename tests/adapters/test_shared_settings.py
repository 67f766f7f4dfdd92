"""What the driver does for every strategy: block weights, scale, norm, rank, dense results, streamed files."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from selma_core.artifacts.tensor_writer import TensorWriter
from selma_core.errors import UserError
from selma_core.merging.algebra import norm
from selma_core.merging.blocks import LAYOUTS, block_of
from selma_core.merging.layer import merge_layer
from selma_core.merging.options import MergeOptions
from selma_core.merging.strategy import Strategy
from selma_core.protocols import Dense, Factors, LayerJob


class Doubled(Strategy[MergeOptions]):
    """Twice the weighted sum, dense."""

    def merge_layer(self, job: LayerJob) -> Dense:
        total = sum(2 * w * (e.up @ e.down) for w, e in zip(job.weights, job.experts, strict=True) if e is not None)
        assert isinstance(total, torch.Tensor)
        return Dense(delta=total)


def job(name: str = "unet.mid_block.attentions.0.proj_in", kernel: tuple[int, ...] = ()) -> LayerJob:
    stream = torch.Generator().manual_seed(1)
    experts = tuple(
        Factors(
            up=torch.randn(6, 2, *(1 for _ in kernel), generator=stream),
            down=torch.randn(2, 5, *kernel, generator=stream),
        )
        for _ in range(2)
    )
    return LayerJob(name=name, experts=experts, weights=(0.5, 0.5), expert_ids=("a", "b"), seed=0)


def plain(work: LayerJob, weights: tuple[float, float]) -> torch.Tensor:
    parts = [w * e.up.flatten(1) @ e.down.flatten(1) for w, e in zip(weights, work.experts, strict=True) if e]
    return parts[0] + parts[1]


def merged(options: MergeOptions, work: LayerJob) -> tuple[torch.Tensor, float, float]:
    found = merge_layer(Doubled(options), work)
    assert found is not None
    return found.factors.up.flatten(1) @ found.factors.down.flatten(1), found.norm_ratio, found.retained


def test_a_dense_result_is_kept_exactly() -> None:
    delta, ratio, retained = merged(MergeOptions(), job())
    assert torch.equal(delta, 2 * plain(job(), (0.5, 0.5)))
    assert ratio == pytest.approx(2.0)
    assert retained == 1.0


def test_a_convolution_comes_back_in_its_shape() -> None:
    found = merge_layer(Doubled(MergeOptions(rank=3)), job(kernel=(3, 3)))
    assert found is not None
    assert found.factors.up.shape == (6, 3, 1, 1)
    assert found.factors.down.shape == (3, 5, 3, 3)


def test_scale_and_matched_norm() -> None:
    wanted = plain(job(), (0.5, 0.5))
    delta, ratio, _ = merged(MergeOptions(scale=-0.5), job())
    torch.testing.assert_close(delta, -wanted)
    assert ratio == pytest.approx(1.0)
    delta, ratio, _ = merged(MergeOptions(match_norm="linear"), job())
    torch.testing.assert_close(delta, wanted)
    assert ratio == pytest.approx(2.0)  # of the method itself: what the rescaling took away
    delta, _, _ = merged(MergeOptions(match_norm="linear", scale=3.0), job())
    torch.testing.assert_close(delta, 3 * wanted)


def test_rank_says_what_it_keeps() -> None:
    full = 2 * plain(job(), (0.5, 0.5))
    delta, _, retained = merged(MergeOptions(rank=2), job())
    singular = torch.linalg.svdvals(full)
    assert retained == pytest.approx(float(singular[:2].square().sum() / singular.square().sum()), rel=1e-5)
    assert float((delta - full).norm()) == pytest.approx(math.sqrt(float(singular[2:].square().sum())), rel=1e-4)


def test_block_weights_change_the_weights_of_their_block() -> None:
    half = [1.0] * 26
    half[LAYOUTS[26].index("MID")] = 0.5
    none = [0.0] * 26
    delta, _, _ = merged(MergeOptions(block_weights=[half]), job())
    torch.testing.assert_close(delta, plain(job(), (0.5, 0.5)))
    delta, _, _ = merged(MergeOptions(block_weights=[half, none]), job())
    torch.testing.assert_close(delta, plain(job(), (0.5, 0.0)))
    elsewhere = job("unet.down_blocks.0.attentions.1.proj_in")
    delta, _, _ = merged(MergeOptions(block_weights=[half]), elsewhere)
    torch.testing.assert_close(delta, 2 * plain(elsewhere, (0.5, 0.5)))


def test_bad_block_weights_are_one_line() -> None:
    with pytest.raises(ValueError, match="a list has 3 values; give 12, 17, 20, 26"):
        MergeOptions(block_weights=[[1, 2, 3]])
    with pytest.raises(UserError, match="3 lists for 2 experts"):
        merged(MergeOptions(block_weights=[[1.0] * 26] * 3), job())
    with pytest.raises(UserError, match=r"no value for IN03.*give 26"):
        merged(MergeOptions(block_weights=[[1.0] * 17]), job("unet.down_blocks.0.downsamplers.0.conv"))


@pytest.mark.parametrize(
    ("layer", "block"),
    [
        ("unet.conv_in", "IN00"),
        ("unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q", "IN01"),
        ("unet.down_blocks.1.resnets.1.conv1", "IN05"),
        ("unet.down_blocks.2.downsamplers.0.conv", "IN09"),
        ("unet.down_blocks.3.resnets.1.conv2", "IN11"),
        ("unet.mid_block.attentions.0.proj_in", "MID"),
        ("unet.up_blocks.0.resnets.0.conv1", "OUT00"),
        ("unet.up_blocks.1.attentions.2.proj_out", "OUT05"),
        ("unet.up_blocks.2.upsamplers.0.conv", "OUT08"),
        ("unet.up_blocks.3.attentions.2.transformer_blocks.0.ff.net.0.proj", "OUT11"),
        ("text_encoder.text_model.encoder.layers.0.self_attn.q_proj", "BASE"),
        ("unet.time_embedding.linear_1", "BASE"),
    ],
)
def test_blocks_as_kohya_counts_them(layer: str, block: str) -> None:
    assert block_of(layer) == block


def test_nan_is_refused() -> None:
    class Broken(Strategy[MergeOptions]):
        def merge_layer(self, job: LayerJob) -> Dense:
            return Dense(delta=torch.full((6, 5), float("nan")))

    with pytest.raises(UserError, match=r"mid_block.*NaN"):
        merge_layer(Broken(MergeOptions()), job())


@pytest.mark.parametrize("room", [0, 40, 1000])
def test_a_streamed_file_is_a_safetensors_file(tmp_path: Path, room: int) -> None:
    """Whether there was room for its header or not."""
    tensors = {"b": torch.randn(3, 4), "a": torch.randn(5).half(), "c": torch.zeros(0, 2), "d": torch.tensor(2.0)}
    with TensorWriter(tmp_path / "x.safetensors", room) as writer:
        for name, value in tensors.items():
            writer.add(name, value)
        writer.finish({"z": "1", "y": "ü"})
    found = load_file(tmp_path / "x.safetensors")
    assert set(found) == set(tensors)
    assert all(torch.equal(found[name], value) for name, value in tensors.items())
    with safe_open(tmp_path / "x.safetensors", framework="pt") as file:
        assert file.metadata() == {"y": "ü", "z": "1"}
    assert [path.name for path in tmp_path.iterdir()] == ["x.safetensors"]


def test_an_unfinished_file_does_not_appear(tmp_path: Path) -> None:
    with TensorWriter(tmp_path / "x.safetensors") as writer:
        writer.add("a", torch.ones(2))
    assert list(tmp_path.iterdir()) == []


class AllBut(Strategy[MergeOptions]):
    """The sum, with one entry of the delta left out."""

    def merge_layer(self, job: LayerJob) -> Dense:
        delta = plain(job, (job.weights[0], job.weights[1])).flatten(1)
        return Dense(delta=delta * (torch.arange(delta.numel()).reshape(delta.shape) != 7))


def test_a_delta_that_is_nearly_the_sum_is_not_taken_for_it() -> None:
    work = job()
    found = merge_layer(AllBut(MergeOptions()), work)
    assert found is not None
    whole = plain(work, (work.weights[0], work.weights[1])).flatten(1)
    wanted = math.sqrt(1 - float(whole.flatten()[7] / whole.norm()) ** 2)
    assert found.norm_ratio == pytest.approx(wanted, rel=1e-6)
    assert found.norm_ratio != 1.0


def test_norms_survive_cancellation() -> None:
    """B A - B A' with A' next to A: in fp32 the products alone would leave no digit."""
    torch.manual_seed(0)
    up, down, step = torch.randn(40, 4), torch.randn(4, 30), torch.randn(4, 30)
    near = down + 1e-4 * step
    both = Factors(up=torch.cat([up, -up], 1), down=torch.cat([down, near]))
    exact = up.double() @ (down.double() - near.double())
    assert norm(both) == pytest.approx(float(exact.norm()), rel=1e-5)
