"""Tiny random-weight pipelines of the real classes, built offline, saved in diffusers' own format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

WORDS = ["a", "red", "blue", "circle", "square", "left", "right", "of", "two", "cat", "the", "hat"]
LENGTH = 16


def clip_tokenizer(folder: Path) -> Any:
    """A CLIP tokenizer whose vocabulary is letters and a few words."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = [chr(code) for code in range(97, 123)]
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *[letter + "</w>" for letter in letters]]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return transformers.CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=LENGTH, pad_token="<|endoftext|>"
    )


def clip_encoder(tokenizer: Any, *, width: int = 32, projection: bool = False, seed: int = 0) -> Any:
    """A two-layer CLIP text encoder for the tokenizer."""
    config = transformers.CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=LENGTH,
        projection_dim=width,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(seed)
    kind = transformers.CLIPTextModelWithProjection if projection else transformers.CLIPTextModel
    return kind(config).eval()


def autoencoder(*, latent: int = 4, shift: float | None = None) -> Any:
    """A tiny KL autoencoder that halves the side."""
    torch.manual_seed(1)
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=latent,
        norm_num_groups=4,
        sample_size=16,
        layers_per_block=1,
        scaling_factor=0.5,
        shift_factor=shift,
        mid_block_add_attention=False,
    ).eval()


def unet(*, cross: int = 32, extra: dict[str, Any] | None = None) -> Any:
    """A tiny conditional UNet over 8 x 8 x 4 latents."""
    torch.manual_seed(2)
    return diffusers.UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=cross,
        attention_head_dim=2,
        norm_num_groups=4,
        **(extra or {}),
    ).eval()


def sd(folder: Path, prediction: str = "epsilon", **scheduler: Any) -> Path:
    """SD 1.x (`epsilon`) or SD 2 (`v_prediction`): a StableDiffusionPipeline."""
    tokenizer = clip_tokenizer(folder / "made")
    pipeline = diffusers.StableDiffusionPipeline(
        vae=autoencoder(),
        text_encoder=clip_encoder(tokenizer),
        tokenizer=tokenizer,
        unet=unet(),
        scheduler=diffusers.DDIMScheduler(
            prediction_type=prediction, clip_sample=False, set_alpha_to_one=False, steps_offset=1, **scheduler
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return _save(pipeline, folder)


def sdxl(folder: Path) -> Path:
    """SDXL: two encoders, pooled embeddings, size conditioning."""
    tokenizer = clip_tokenizer(folder / "made")
    extra = {"addition_embed_type": "text_time", "addition_time_embed_dim": 8,
             "projection_class_embeddings_input_dim": 6 * 8 + 32}  # fmt: skip
    pipeline = diffusers.StableDiffusionXLPipeline(
        vae=autoencoder(),
        text_encoder=clip_encoder(tokenizer),
        text_encoder_2=clip_encoder(tokenizer, projection=True, seed=5),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=unet(cross=64, extra=extra),
        scheduler=diffusers.EulerDiscreteScheduler(),
        add_watermarker=False,
    )
    return _save(pipeline, folder)


def sd3(folder: Path) -> Path:
    """SD3: joint-attention transformer, flow matching; the T5 encoder is left out, as SD3 allows."""
    tokenizer = clip_tokenizer(folder / "made")
    torch.manual_seed(3)
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=4,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=64,
        caption_projection_dim=16,
        pooled_projection_dim=64,
        out_channels=4,
        pos_embed_max_size=8,
    )
    pipeline = diffusers.StableDiffusion3Pipeline(
        vae=autoencoder(shift=0.1),
        text_encoder=clip_encoder(tokenizer, projection=True),
        text_encoder_2=clip_encoder(tokenizer, projection=True, seed=5),
        text_encoder_3=None,
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        tokenizer_3=None,
        transformer=transformer.eval(),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
    )
    return _save(pipeline, folder)


def t5(folder: Path, width: int = 32) -> tuple[Any, Any]:
    """A T5 tokenizer of letters and a one-layer encoder."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    letters = [chr(code) for code in range(97, 123)]
    vocabulary = {token: i for i, token in enumerate(["<pad>", "</s>", "<unk>", *letters])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=LENGTH
    )
    torch.manual_seed(7)
    config = transformers.T5Config(
        vocab_size=len(vocabulary), d_model=width, d_ff=width, d_kv=8, num_heads=2, num_layers=1
    )
    return tokenizer, transformers.T5EncoderModel(config).eval()


def flux(folder: Path) -> Path:
    """Flux: packed latents, guidance embedding, flow matching with dynamic shift."""
    clip = clip_tokenizer(folder / "made")
    tokenizer, encoder = t5(folder)
    torch.manual_seed(4)
    transformer = diffusers.FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        axes_dims_rope=(4, 4, 8),
        guidance_embeds=True,
    )
    pipeline = diffusers.FluxPipeline(
        vae=autoencoder(shift=0.1),
        text_encoder=clip_encoder(clip),
        text_encoder_2=encoder,
        tokenizer=clip,
        tokenizer_2=tokenizer,
        transformer=transformer.eval(),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
    )
    return _save(pipeline, folder)


def pixart(folder: Path) -> Path:
    """PixArt-alpha: a DiT with T5 embeddings and an attention mask, learned variance."""
    tokenizer, encoder = t5(folder)
    torch.manual_seed(6)
    transformer = diffusers.PixArtTransformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=4,
        out_channels=8,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        cross_attention_dim=16,
        caption_channels=32,
        use_additional_conditions=False,
        norm_num_groups=4,
    )
    pipeline = diffusers.PixArtAlphaPipeline(
        vae=autoencoder(),
        text_encoder=encoder,
        tokenizer=tokenizer,
        transformer=transformer.eval(),
        scheduler=diffusers.DPMSolverMultistepScheduler(),
    )
    return _save(pipeline, folder)


def _save(pipeline: Any, folder: Path) -> Path:
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder
