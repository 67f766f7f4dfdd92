"""`describe`, `compare` and the picture: figures from factors equal those of dense deltas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from selma_core.adapters.compare import compare
from selma_core.adapters.describe import describe
from selma_core.adapters.picture import cosine_colour, draw, grids, place, ratio_colour
from selma_core.errors import ArtifactError
from tests.interchange.samples import Pairs, delta, factors, named, write

ENDS = (".lora_A.weight", ".lora_B.weight")
BLOCK = "unet.down_blocks.1.attentions.0.transformer_blocks.0"
SHAPES = {f"{BLOCK}.attn1.to_q": (6, 5), f"{BLOCK}.attn2.to_k": (6, 7), "unet.conv_in": (4, 3, 3, 3)}


def file(path: Path, found: Pairs, alpha: float | None = None, **header: str) -> Path:
    return write(path, named(found, {layer: layer for layer in found}, ENDS, alpha), **header)


def dense(found: Pairs) -> dict[str, torch.Tensor]:
    return {layer: delta(*pair).double() for layer, pair in found.items()}


def test_figures_equal_those_of_dense_deltas(tmp_path: Path) -> None:
    extra = {"unet.conv_out": (4, 4)}
    one, two = factors(SHAPES | extra, seed=1), factors(SHAPES, ranks=(5, 2), seed=2)
    found = compare(file(tmp_path / "a.safetensors", one), file(tmp_path / "b.safetensors", two))
    a, b = dense(one), dense(two)
    assert (found["common"], found["only_a"], found["only_b"]) == (3, ["unet.conv_out"], [])
    for row in found["layers"]:
        x, y = a[row["name"]], b[row["name"]]
        assert row["cosine"] == pytest.approx(float((x * y).sum() / x.norm() / y.norm()), abs=1e-6)
        assert row["norm_ratio"] == pytest.approx(float(y.norm() / x.norm()), rel=1e-6)
        assert row["difference"] == pytest.approx(float((y - x).norm() / x.norm()), rel=1e-6)
    # in all: the layer that b lacks is a zero delta
    x, y = torch.cat([v.flatten() for v in a.values()]), torch.cat([b.get(k, 0 * v).flatten() for k, v in a.items()])
    assert found["cosine"] == pytest.approx(float((x * y).sum() / x.norm() / y.norm()), abs=1e-6)
    assert found["norm_ratio"] == pytest.approx(float(y.norm() / x.norm()), rel=1e-6)


def test_the_same_adapter_and_a_zero_layer(tmp_path: Path) -> None:
    one = factors(SHAPES)
    a, double = file(tmp_path / "a.safetensors", one), file(tmp_path / "b.safetensors", one, alpha=None)
    same = compare(a, double)
    assert same["cosine"] == pytest.approx(1.0)
    assert same["difference"] < 1e-7
    zero = {layer: (down, 0 * up) for layer, (down, up) in one.items()}
    found = compare(file(tmp_path / "z.safetensors", zero), a)
    assert (found["cosine"], found["norm_ratio"]) == (None, None)
    json.dumps(found, allow_nan=False)


def test_adapters_of_different_models(tmp_path: Path) -> None:
    a, b = factors({"unet.conv_in": (4, 3)}), factors({"unet.conv_in": (4, 5)})
    with pytest.raises(ArtifactError, match=r"'unet\.conv_in' is \[4, 3\] in .* and \[4, 5\] in .*different models"):
        compare(file(tmp_path / "a.safetensors", a), file(tmp_path / "b.safetensors", b))


def test_describe(tmp_path: Path) -> None:
    found, header = factors(SHAPES, ranks=(2, 4)), {"selma.manifest": '{"base": "hub:a/b"}', "note": "plain"}
    shown = describe(file(tmp_path / "a.safetensors", found, alpha=8.0, **header))
    assert (shown["form"], shown["family"], shown["base"]) == ("native", None, "hub:a/b")
    assert (shown["ranks"], shown["alphas"]) == ({"2": 2, "4": 1}, {"8.0": 3})
    assert shown["metadata"] == {"selma.manifest": {"base": "hub:a/b"}, "note": "plain"}
    whole = torch.stack([delta(*pair, scale=8.0 / pair[0].shape[0]).norm() for pair in found.values()])
    assert shown["components"]["unet"]["norm"] == pytest.approx(float(whole.norm()), rel=1e-5)
    assert shown["components"]["unet"]["parameters"] == sum(a.numel() + b.numel() for a, b in found.values())
    (conv,) = [layer for layer in shown["layers"] if layer["name"] == "unet.conv_in"]
    assert (conv["shape"], conv["rank"], conv["scale"]) == ([4, 3, 3, 3], 2, 4.0)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        (f"{BLOCK}.attn1.to_out.0", ("unet", BLOCK.removeprefix("unet."), "attn1.to_out.0")),
        ("unet.conv_in", ("unet", "model", "conv_in")),
        ("unet.mid_block.resnets.1.conv2", ("unet", "mid_block.resnets.1", "conv2")),
        ("text_encoder.text_model.encoder.x.1.mlp.fc1", ("text_encoder", "text_model.encoder.x.1", "mlp.fc1")),
    ],
)
def test_places(name: str, wanted: tuple[str, str, str]) -> None:
    assert place(name) == wanted


def test_rows_are_in_the_order_of_the_data() -> None:
    lines = ["up_blocks.0", "down_blocks.10", "mid_block", "down_blocks.2"]
    (grid,) = grids([{"name": f"unet.{line}.attentions.0.proj_in"} for line in lines])
    assert [row.split(".attentions")[0] for row in grid.rows] == [
        "down_blocks.2",
        "down_blocks.10",
        "mid_block",
        "up_blocks.0",
    ]


def test_the_picture_shows_the_figures(tmp_path: Path) -> None:
    def row(name: str, cosine: float | None, ratio: float | None) -> dict[str, Any]:
        return {"name": name, "cosine": cosine, "norm_ratio": ratio}

    rows = [
        row(f"{BLOCK}.attn1.to_q", 1.0, 4.0),
        row(f"{BLOCK}.attn1.to_k", -1.0, 0.25),
        row("unet.conv_in", None, None),
    ]
    draw({"a": "a", "b": "b", "cosine": 0.5, "norm_ratio": None, "layers": rows}, tmp_path / "deep" / "d.png")
    with Image.open(tmp_path / "deep" / "d.png") as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 24) or ()}
    assert {cosine_colour(1.0), cosine_colour(-1.0), cosine_colour(None)} <= colours
    assert ratio_colour(1.0) == cosine_colour(0.0) == (255, 255, 255)
    assert (ratio_colour(4.0), ratio_colour(100.0), ratio_colour(0.0)) == ((0, 89, 255), (0, 89, 255), (255, 0, 0))
