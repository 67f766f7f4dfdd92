"""Tiny random-weight models of the real classes, saved as a checkpoint is: weights, configs, tokenizers, processors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from transformers import models

MARKS = ["<pad>", "<s>", "</s>", "<image>", "<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"]
_SAID = "yes no Yes red blue circle square above a is there the user: bot: system: think off ?"
WORDS = [*MARKS, *_SAID.split(" ")]
PAD, BOS, EOS, IMAGE, QWEN_IMAGE = 0, 1, 2, 3, 4
SIZE = {"height": 16, "width": 16}
LLAMA: dict[str, Any] = {
    "vocab_size": len(WORDS), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 256, "initializer_range": 0.3,
    "pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS,
}  # fmt: skip
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] + ': ' }}{% for part in m['content'] %}"
    "{% if part['type'] == 'image' %}{{ 'IMAGE ' }}{% else %}{{ part['text'] + ' ' }}{% endif %}"
    "{% endfor %}{% endfor %}"
    "{% if enable_thinking is defined and not enable_thinking %}{{ 'think off ' }}{% endif %}"
    "{% if add_generation_prompt %}{{ 'bot:' }}{% endif %}"
)


def tokenizer(bos: bool = False) -> Any:
    """One word, one token."""
    words = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="?"))
    words.pre_tokenizer = WhitespaceSplit()
    if bos:
        words.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", BOS)])
    marks = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "?"}
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, additional_special_tokens=MARKS[3:], padding_side="left", **marks
    )


def _vision(**more: Any) -> dict[str, Any]:
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    return {**sizes, "image_size": 16, "patch_size": 8, "initializer_range": 0.3, **more}


def _save(model: Any, folder: Path) -> None:
    model.eval().save_pretrained(folder)


def llava(folder: Path) -> None:
    """LLaVA: CLIP and Llama."""
    config = transformers.LlavaConfig(
        text_config=transformers.LlamaConfig(**LLAMA),
        vision_config=transformers.CLIPVisionConfig(**_vision(projection_dim=32)),
        image_token_index=IMAGE,
        image_seq_length=4,
        vision_feature_layer=-1,
    )
    _save(transformers.LlavaForConditionalGeneration(config), folder)
    images = models.clip.image_processing_pil_clip.CLIPImageProcessorPil(size=SIZE, do_center_crop=False)
    template = TEMPLATE.replace("IMAGE ", "<image> ")
    transformers.LlavaProcessor(
        images, tokenizer(), patch_size=8, vision_feature_select_strategy="default", image_token="<image>",
        chat_template=template, num_additional_image_tokens=1,
    ).save_pretrained(folder)  # fmt: skip


def _qwen(folder: Path, kind: str, vision: dict[str, Any]) -> None:
    text = {**LLAMA, "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e4}}
    text |= {"head_dim": 16} if kind == "Qwen3VL" else {}
    base = {"hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "depth": 2, "patch_size": 4}
    marks = dict(zip(("image", "video", "vision_start", "vision_end"), range(QWEN_IMAGE, 8), strict=True))
    config = getattr(transformers, f"{kind}Config")(
        text_config=text,
        vision_config={**base, "temporal_patch_size": 2, "spatial_merge_size": 2, "initializer_range": 0.3, **vision},
        **{f"{name}_token_id": token for name, token in marks.items()},
    )
    _save(getattr(transformers, f"{kind}ForConditionalGeneration")(config), folder)
    words = tokenizer()
    words.chat_template = TEMPLATE.replace("IMAGE", "<|vision_start|> <|image_pad|> <|vision_end|>")
    words.save_pretrained(folder)
    models.qwen2_vl.image_processing_pil_qwen2_vl.Qwen2VLImageProcessorPil(
        patch_size=4, size={"shortest_edge": 64, "longest_edge": 1024}
    ).save_pretrained(folder)


def qwen3(folder: Path) -> None:
    """Qwen3-VL, whose processor wants torchvision for its videos."""
    _qwen(
        folder,
        "Qwen3VL",
        {"out_hidden_size": 32, "num_position_embeddings": 64, "deepstack_visual_indexes": [0]},
    )


def qwen25(folder: Path) -> None:
    """Qwen2.5-VL."""
    _qwen(folder, "Qwen2_5_VL", {"out_hidden_size": 32, "window_size": 16, "fullatt_block_indexes": [1]})


def _blip_images() -> Any:
    return models.blip.image_processing_pil_blip.BlipImageProcessorPil(size=SIZE)


def _language(kind: str) -> Any:
    if kind == "t5":
        return transformers.T5Config(
            vocab_size=len(WORDS), d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2, initializer_factor=3.0,
            pad_token_id=PAD, eos_token_id=EOS, decoder_start_token_id=PAD,
        )  # fmt: skip
    if kind == "llama":
        return transformers.LlamaConfig(**LLAMA)
    return transformers.OPTConfig(
        vocab_size=len(WORDS), hidden_size=32, ffn_dim=64, num_hidden_layers=2, num_attention_heads=2,
        word_embed_proj_dim=32, max_position_embeddings=128, pad_token_id=PAD, bos_token_id=BOS, eos_token_id=EOS,
        init_std=0.3,
    )  # fmt: skip


def _qformer(kind: str, **more: Any) -> Any:
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    return getattr(transformers, kind)(**sizes, encoder_hidden_size=32, initializer_range=0.3, **more)


def _blip2(folder: Path, language: str) -> None:
    config = transformers.Blip2Config(
        vision_config=_vision(),
        qformer_config=_qformer("Blip2QFormerConfig").to_dict(),
        text_config=_language(language).to_dict(),
        num_query_tokens=3,
        image_token_index=IMAGE,
        initializer_range=0.3,
    )
    model = transformers.Blip2ForConditionalGeneration(config)
    torch.nn.init.normal_(model.query_tokens)  # zeros when made new: it would see nothing
    _save(model, folder)
    transformers.Blip2Processor(_blip_images(), tokenizer(bos=language == "opt"), num_query_tokens=3).save_pretrained(
        folder
    )


def blip2_opt(folder: Path) -> None:
    """BLIP-2 that continues a text."""
    _blip2(folder, "opt")


def blip2_t5(folder: Path) -> None:
    """BLIP-2 with an encoder and a decoder."""
    _blip2(folder, "t5")


def instructblip(folder: Path) -> None:
    """InstructBLIP on Llama, as Vicuna is."""
    config = transformers.InstructBlipConfig(
        vision_config=_vision(),
        qformer_config=_qformer("InstructBlipQFormerConfig", vocab_size=len(WORDS)).to_dict(),
        text_config=_language("llama").to_dict(),
        num_query_tokens=3,
        image_token_index=IMAGE,
    )
    model = transformers.InstructBlipForConditionalGeneration(config)
    torch.nn.init.normal_(model.query_tokens)
    _save(model, folder)
    transformers.InstructBlipProcessor(
        _blip_images(), tokenizer(bos=True), tokenizer(), num_query_tokens=3
    ).save_pretrained(folder)


def blip_vqa(folder: Path) -> None:
    """BLIP for question answering."""
    text = {**_vision(), "vocab_size": len(WORDS), "encoder_hidden_size": 32, "max_position_embeddings": 24}
    text |= {"pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS, "sep_token_id": EOS}
    config = transformers.BlipConfig(text_config=text, vision_config=_vision())
    _save(transformers.BlipForQuestionAnswering(config), folder)
    transformers.BlipProcessor(_blip_images(), tokenizer()).save_pretrained(folder)


MAKERS: dict[str, Callable[[Path], None]] = {
    maker.__name__: maker for maker in (llava, qwen3, qwen25, blip2_opt, blip2_t5, instructblip, blip_vqa)
}
