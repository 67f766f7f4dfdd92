"""The module names of Stable Diffusion 1, 2 and XL in three spellings, and the way between them. Pure text, no torch.

- diffusers: `down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q` (the canonical one here);
- original (CompVis, sgm, ComfyUI): `input_blocks.4.1.transformer_blocks.0.attn1.to_q`;
- flat (kohya): either of them with `_` for `.`, which is ambiguous (`to_q`, `proj_in`) unless the words are known.

Numbering of the original spelling, for two layers per block as all three models have: input block 0 is `conv_in`; down
block b holds the input blocks 3b+1 and 3b+2 and, but for the last, the downsampler 3b+3; up block b holds the output
blocks 3b to 3b+2, its upsampler in the last of them, after the resnet and the attention if there is one.
"""

from __future__ import annotations

import re

_RES = r"(?:conv1|conv2|conv_shortcut|time_emb_proj)"
_TO = r"(?:to_q|to_k|to_v|to_out\.0)"
_ATTN = rf"(?:proj_in|proj_out|{_TO}|transformer_blocks\.\d+\.(?:attn[12]\.{_TO}|ff\.net\.0\.proj|ff\.net\.2))"
_UNET = re.compile(
    rf"(?:down_blocks\.\d+|mid_block|up_blocks\.\d+)\.(?:resnets\.\d+\.{_RES}|attentions\.\d+\.{_ATTN})"
    r"|down_blocks\.\d+\.downsamplers\.\d+\.conv|up_blocks\.\d+\.upsamplers\.\d+\.conv"
    r"|conv_in|conv_out|(?:time|add)_embedding\.linear_[12]|time_embedding\.cond_proj"
)
_TEXT = re.compile(r"text_model\.encoder\.layers\.\d+\.(?:self_attn\.(?:q|k|v|out)_proj|mlp\.fc[12])|text_projection")

# diffusers -> original, for what lies outside of the blocks and inside of a resnet.
_SINGLE = {
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
_RESNET = {
    "conv1": "in_layers.2",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
_SINGLE_BACK = {original: ours for ours, original in _SINGLE.items()}
_RESNET_BACK = {original: ours for ours, original in _RESNET.items()}

# Names that have `_` inside of one word.
_WORDS = (
    *("down_blocks", "up_blocks", "mid_block", "transformer_blocks", "to_q", "to_k", "to_v", "to_out"),
    *("proj_in", "proj_out", "conv_in", "conv_out", "conv_shortcut", "time_emb_proj", "time_embedding"),
    *("add_embedding", "linear_1", "linear_2", "cond_proj", "input_blocks", "middle_block", "output_blocks"),
    *("in_layers", "out_layers", "emb_layers", "skip_connection", "time_embed", "label_emb"),
    *("text_model", "self_attn", "q_proj", "k_proj", "v_proj", "out_proj", "text_projection"),
)
_JOIN = re.compile(
    "(?<![^.])(?:"
    + "|".join(word.replace("_", "[.]") for word in sorted(_WORDS, key=lambda word: (-len(word), word)))
    + ")(?![^.])"
)


def is_unet(path: str) -> bool:
    """Whether a path names a layer of a UNet in the diffusers spelling."""
    return _UNET.fullmatch(path) is not None


def is_text(path: str) -> bool:
    """Whether a path names a layer of a CLIP text encoder (`text_model.encoder.layers.0...`, `text_projection`)."""
    return _TEXT.fullmatch(path) is not None


def flat(path: str) -> str:
    """kohya's spelling of a path."""
    return path.replace(".", "_")


def unflat(text: str) -> str:
    """The dotted path of a flat one; what has no known words in it comes out wrong, so check the result."""
    return _JOIN.sub(lambda found: found[0].replace(".", "_"), text.replace("_", "."))


def unet_path(path: str) -> str | None:
    """The diffusers spelling of a dotted UNet path in either spelling; None if neither knows it."""
    if is_unet(path):
        return path
    found = _from_original(path)
    return found if found is not None and is_unet(found) else None


def to_original(path: str, *, attention_in_up_0: bool) -> str | None:
    """The original spelling of a diffusers UNet path; None where there is none (a third layer in a block).

    Args:
        attention_in_up_0: whether the first up block has attention (SDXL) or not (SD 1, SD 2): its upsampler's number.
    """
    if path in _SINGLE:
        return _SINGLE[path]
    if found := re.fullmatch(r"down_blocks\.(\d+)\.downsamplers\.0\.conv", path):
        return f"input_blocks.{3 * int(found[1]) + 3}.0.op"
    if found := re.fullmatch(r"up_blocks\.(\d+)\.upsamplers\.0\.conv", path):
        block = int(found[1])
        return f"output_blocks.{3 * block + 2}.{2 if block or attention_in_up_0 else 1}.conv"
    found = re.fullmatch(r"(?:(down|up)_blocks\.(\d+)|mid_block)\.(resnets|attentions)\.(\d+)\.(.+)", path)
    if found is None:
        return None
    place = _place(found[1], int(found[2] or 0), found[3] == "attentions", int(found[4]))
    inner = _RESNET.get(found[5], found[5]) if found[3] == "resnets" else found[5]
    return None if place is None else f"{place}.{inner}"


def _place(side: str | None, block: int, attention: bool, index: int) -> str | None:
    if side is None:
        return "middle_block.1" if attention and index == 0 else ({0: "middle_block.0", 1: "middle_block.2"}.get(index))
    if side == "down":
        return f"input_blocks.{3 * block + 1 + index}.{int(attention)}" if index < 2 else None
    return f"output_blocks.{3 * block + index}.{int(attention)}" if index < 3 else None


def _from_original(path: str) -> str | None:
    if path in _SINGLE_BACK:
        return _SINGLE_BACK[path]
    found = re.fullmatch(r"(input_blocks|output_blocks)\.(\d+)\.(\d+)\.(.+)", path)
    if found is not None:
        return _outer(found[1] == "input_blocks", int(found[2]), int(found[3]), found[4])
    found = re.fullmatch(r"middle_block\.([012])\.(.+)", path)
    if found is None:
        return None
    if found[1] == "1":
        return f"mid_block.attentions.0.{found[2]}"
    return _resnet(f"mid_block.resnets.{int(found[1]) // 2}", found[2])


def _outer(into: bool, number: int, part: int, inner: str) -> str | None:
    block, index = divmod(number - 1 if into else number, 3)
    side = f"{'down' if into else 'up'}_blocks.{block}"
    if into and (part, inner) == (0, "op"):
        return f"{side}.downsamplers.0.conv" if index == 2 else None
    if not into and part in (1, 2) and inner == "conv":
        return f"{side}.upsamplers.0.conv" if index == 2 else None
    if number < into or part > 1 or (into and index == 2):  # input block 0 and every third one have no layers
        return None
    return f"{side}.attentions.{index}.{inner}" if part == 1 else _resnet(f"{side}.resnets.{index}", inner)


def _resnet(place: str, inner: str) -> str | None:
    return f"{place}.{_RESNET_BACK[inner]}" if inner in _RESNET_BACK else None
