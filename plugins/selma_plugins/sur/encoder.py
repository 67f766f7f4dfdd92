"""The text encoder `sur_adapter`: another encoder's embeddings, rewritten by the adapter that a trainer made.

No language model is needed here: the teacher's part of the loss is over when training is. Source: arXiv 2305.05189,
section 3.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from selma_core.errors import ArtifactError, UserError
from selma_core.protocols import Context, Embeddings, TextEncoder
from selma_plugins.sur.network import SurNetwork, fresh
from selma_plugins.sur.options import SurEncoderOptions

CARD = "sur_adapter"
NETWORK, PROJECTION, PROBE = "network.", "projection.", "probe"
PROBE_TEXT = "a photo of a cat and a dog"
# Half precision moves the probe by a thousandth of itself, another model's text encoder by more than half.
PROBE_TOLERANCE = 0.1


@attrs.frozen(kw_only=True)
class Build:
    """What an adapter network is built from, as its card says. Attributes: as of `SurNetwork`; mask_padding = padding
    is left alone."""

    width: int
    depth: int = 2
    heads: int = 8
    eta: float = 0.1
    residual: str = "additive"
    legacy: bool = False
    mask_padding: bool = False

    def network(self, seed: int) -> SurNetwork:
        """A fresh network of this kind, in evaluation mode."""
        settings = attrs.asdict(self)
        settings.pop("mask_padding")
        return fresh(seed, settings.pop("width"), **settings)


class SurEncoder:
    """`selma_core.protocols.TextEncoder` and `LearntEncoder`; what it learnt comes with the adapter."""

    def __init__(self, options: SurEncoderOptions) -> None:
        self._options = options
        self.adjustable = ("apply_to", "eta", "force")
        self._context: Context | None = None
        self._inner: TextEncoder | None = None
        self._probe: Tensor | None = None
        self._base = ""
        self.network: SurNetwork | None = None
        self.mask_padding = False

    def attach(self, context: Context) -> None:
        """Keeps the context for the encoder underneath."""
        self._context = context

    def encode(self, pipeline: Any, prompts: Sequence[str]) -> Embeddings:
        """As `TextEncoder.encode`; with `apply_to: positive` the unconditional embedding `""` stays as it is.

        Raises:
            UserError: it has learnt nothing yet, or the pipeline's embedding is not one that it can adapt.
            ArtifactError: the adapter was trained for another base model.
        """
        if self.network is None:
            raise UserError(
                "text encoder 'sur_adapter' has learnt nothing: it comes with the adapter that the trainer "
                "'sur_adapter' made; give that at the port `adapter` and leave text_encoder out"
            )
        found = self.plain(pipeline, prompts)
        self._check_base(pipeline)
        keep = torch.tensor([self._options.apply_to == "both" or bool(text) for text in prompts])
        with torch.no_grad():
            device = found.hidden.device
            network = self.network.to(device)
            mask = self.mask(pipeline, prompts, found) if self.mask_padding else None
            out = network(found.hidden.float(), mask).out.to(found.hidden.dtype)
        hidden = torch.where(keep.to(device)[:, None, None], out, found.hidden)
        return Embeddings(hidden=hidden, pooled=found.pooled, mask=found.mask)

    def plain(self, pipeline: Any, prompts: Sequence[str]) -> Embeddings:
        """The embeddings of the encoder underneath.

        Raises:
            UserError: there is a pooled embedding beside them (SDXL, SD3, Flux), which the adapter would leave behind.
        """
        if self._inner is None:
            self._inner = _inner(self._options, self._context)
        found = self._inner.encode(pipeline, prompts)
        if found.pooled is not None:
            raise UserError(
                f"sur_adapter adapts the tokens' embeddings only, but {type(pipeline).__name__} reads a pooled one "
                f"too; take a model with a single text encoder, such as SD 1.x or SD 2"
            )
        return found

    def mask(self, pipeline: Any, prompts: Sequence[str], found: Embeddings) -> Tensor:
        """[B, L] bool: which tokens are of the prompt, marks included.

        Raises:
            UserError: neither the encoder nor the pipeline's tokenizer can say.
        """
        length = found.hidden.shape[1]
        if found.mask is not None:
            return found.mask.bool()
        tokenizer = getattr(pipeline, "tokenizer", None)
        if tokenizer is None or tokenizer.model_max_length != length:
            raise UserError("mask_padding: this text encoder does not say which of its tokens are padding")
        counts = [len(ids) for ids in tokenizer(list(prompts), truncation=True, padding=False)["input_ids"]]
        places = torch.arange(length)
        return (places[None, :] < torch.tensor(counts)[:, None]).to(found.hidden.device)

    def start(self, build: Build, seed: int) -> SurNetwork:
        """Begins with a fresh network, to be trained."""
        self.network, self.mask_padding = build.network(seed), build.mask_padding
        return self.network

    def probe(self, pipeline: Any) -> Tensor:
        """[d]: what the encoder underneath makes of one fixed text; tells one base's encoder from another's."""
        return self.plain(pipeline, [PROBE_TEXT]).hidden[0].float().mean(0).cpu()

    def load_learnt(self, tensors: Mapping[str, Tensor], card: Mapping[str, Any]) -> None:
        """Takes over the network, and what the base's text encoder is known by.

        Raises:
            ArtifactError: they are not a SUR-adapter's, or do not fit its card.
        """
        build = build_of(card)
        network = build.network(0)
        weights = {name.removeprefix(NETWORK): value for name, value in tensors.items() if name.startswith(NETWORK)}
        own = network.state_dict()
        wrong = [name for name in own if name not in weights or weights[name].shape != own[name].shape]
        wrong += [name for name in weights if name not in own]
        if wrong:
            raise ArtifactError(f"the SUR-adapter's weights do not fit its card, first: '{wrong[0]}'")
        network.load_state_dict(weights)
        if self._options.eta is not None:
            network.eta = self._options.eta
        self.network, self.mask_padding = network.eval().requires_grad_(False), build.mask_padding
        self._probe, self._base = tensors.get(PROBE), str(card.get("base") or "another model")

    def _check_base(self, pipeline: Any) -> None:
        """Once per loaded adapter: is this the text encoder that it was trained on?"""
        expected, self._probe = self._probe, None
        if expected is None or self._options.force:
            return
        found = self.probe(pipeline)
        if found.shape == expected.shape:
            apart = float((found - expected).norm() / expected.norm().clamp(min=1e-6))
            if apart <= PROBE_TOLERANCE:
                return
        self._probe = expected
        name = getattr(pipeline, "name_or_path", "") or type(pipeline).__name__
        raise ArtifactError(
            f"the SUR-adapter was trained for '{self._base}', and '{name}' has another text encoder; draw with "
            f"'{self._base}', or train one for this model"
        )


def build_of(card: Mapping[str, Any]) -> Build:
    """What an adapter's card says of the network.

    Raises:
        ArtifactError: it is not a SUR-adapter's card.
    """
    said = card.get(CARD)
    if not isinstance(said, Mapping):
        raise ArtifactError(f"the adapter's card has no '{CARD}': its text encoder is no SUR-adapter")
    known = {field.name for field in attrs.fields(Build)}
    try:
        return Build(**{name: value for name, value in said.items() if name in known})
    except TypeError as error:
        raise ArtifactError(f"the adapter's card: '{CARD}' is incomplete ({error})") from None


def _inner(options: SurEncoderOptions, context: Context | None) -> TextEncoder:
    if context is None:  # plain Python use
        from selma_core.records import NoOptions
        from selma_plugins.encoders.clip import PipelineEncoder

        return PipelineEncoder(NoOptions())
    inner: TextEncoder = context.component("text_encoder", options.encoder)
    return inner
