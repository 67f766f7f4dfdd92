"""The T5 rows of `longalign`: frozen states, kept apart from the adapter that learns and makes rows of CLIP's width."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from selma_core.errors import ArtifactError, UserError
from selma_core.protocols import Context, Embeddings
from selma_plugins.encoders.options import LongAlignOptions
from selma_plugins.encoders.t5 import T5Rows
from selma_plugins.encoders.text_adapter import TextAdapter, Widths, fresh

CARD = "longalign"
PREFIX = "adapter."


class T5Branch:
    """T5 with its adapter; empty until one is loaded or begun."""

    def __init__(self, options: LongAlignOptions, context: Context | None) -> None:
        if options.t5 is None:
            raise ArtifactError("longalign: the adapter brings a T5 adapter, but 't5' is null; name the T5 in 't5'")
        self._options = options
        self._rows = T5Rows(options.t5, options.t5_len, masked=options.t5_mask, context=context)
        self._widths: Widths | None = None
        self._adapter: TextAdapter | None = None

    def usage(self, prompt: str) -> tuple[int, int]:
        """(tokens read, tokens cut off) of a prompt by T5."""
        return self._rows.usage(prompt)

    def states(self, pipeline: Any, prompts: Sequence[str]) -> Tensor:
        """[B, t5_len, E], of T5 alone.

        Raises:
            UserError: the pipeline has two text encoders.
        """
        if getattr(pipeline, "text_encoder_2", None) is not None:
            raise UserError(
                "longalign: t5 is for models with one text encoder, SD 1.x and SD 2; "
                f"{type(pipeline).__name__} has two, so leave t5 out"
            )
        return self._rows.states(prompts, pipeline._execution_device)

    def rows(self, pipeline: Any, prompts: Sequence[str]) -> Tensor:
        """[B, t5_len, D] fp32, adapted.

        Raises:
            UserError: there is no adapter yet. ArtifactError: it is for a model of another width.
        """
        states = self.states(pipeline, prompts)
        if self._adapter is None or self._widths is None:
            raise UserError(
                "text encoder 'longalign' with t5 has learnt nothing: its adapter comes with what the trainer 'lora' "
                "made with it; give that at the port `adapter` and leave text_encoder out, or leave t5 out"
            )
        self._check_width(pipeline)
        found: Tensor = self._adapter.to(states.device)(states)
        return found

    def begin(self, pipeline: Any, seed: int) -> Learner:
        """What is to be trained: the loaded adapter, or a fresh one.

        Raises:
            ArtifactError: the loaded one is for a model of another width.
        """
        if self._adapter is None:
            width = _clip_width(pipeline)
            self._widths = Widths(t5=self._rows.width, hidden=self._options.t5_hidden, clip=width)
            self._adapter = fresh(seed, self._widths)
        self._check_width(pipeline)
        assert self._widths is not None
        adapter = self._adapter.to(pipeline._execution_device).requires_grad_(True)
        pin = {} if self._rows.pin is None else {"t5_pin": self._rows.pin}
        return Learner(adapter=adapter, about={"widths": attrs.asdict(self._widths), **pin}, branch=self)

    def load(self, tensors: Mapping[str, Tensor], card: Mapping[str, Any]) -> None:
        """Takes over an adapter.

        Raises:
            ArtifactError: it does not fit its card, or was trained on another T5.
        """
        said = card.get(CARD)
        about = said if isinstance(said, Mapping) else {}
        try:
            widths = Widths(**about["widths"])
        except (KeyError, TypeError):
            raise ArtifactError(
                f"the adapter's card has no '{CARD}.widths': its encoder learnt no T5 adapter"
            ) from None
        if widths.t5 != self._rows.width:
            raise ArtifactError(
                f"the adapter is for a T5 of width {widths.t5}, '{self._options.t5}' has {self._rows.width}"
            )
        pin, found = about.get("t5_pin"), self._rows.pin
        if pin is not None and found is not None and pin != found:
            raise ArtifactError(
                f"the adapter was trained on another T5 ({pin}) than '{self._options.t5}' is ({found}); "
                "give that one in text_encoder.options.t5"
            )
        self._widths, self._adapter = widths, _filled(fresh(0, widths), tensors)

    def _check_width(self, pipeline: Any) -> None:
        assert self._widths is not None
        width = _clip_width(pipeline)
        if self._widths.clip != width:
            raise ArtifactError(
                f"the T5 adapter gives rows of width {self._widths.clip}, the model's text encoder of {width}: "
                "it was trained for another model"
            )


@attrs.frozen(kw_only=True)
class Learner:
    """`selma_core.protocols.EncoderLearner`. Attributes: clip = prompts -> CLIP's rows, set by the encoder."""

    adapter: TextAdapter
    about: Mapping[str, Any]
    branch: T5Branch
    clip: Callable[[Any, Sequence[str]], Embeddings] | None = None

    @property
    def weights(self) -> Mapping[str, nn.Parameter]:
        """The adapter's, by the names that they are stored under."""
        return {f"{PREFIX}{name}": weight for name, weight in self.adapter.named_parameters()}

    def states(self, pipeline: Any, prompts: Sequence[str]) -> Embeddings:
        """hidden = CLIP's rows; raw [B, t5_len, E] = T5's."""
        assert self.clip is not None
        return attrs.evolve(self.clip(pipeline, prompts), raw=self.branch.states(pipeline, prompts))

    def adapt(self, states: Embeddings, seed: int | None) -> Embeddings:
        """CLIP's rows, then the adapted ones."""
        assert states.raw is not None
        rows = self._dropping(states.raw, seed) if seed is not None else self.adapter(states.raw)
        return behind(attrs.evolve(states, raw=None), rows)

    def _dropping(self, raw: Tensor, seed: int) -> Tensor:
        devices = [raw.device] if raw.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            self.adapter.train()
            found: Tensor = self.adapter(raw)
        self.adapter.eval()
        return found


def behind(found: Embeddings, rows: Tensor) -> Embeddings:
    """CLIP's rows with T5's behind them, in CLIP's type."""
    return attrs.evolve(found, hidden=torch.cat([found.hidden, rows.to(found.hidden.dtype)], dim=1))


def _clip_width(pipeline: Any) -> int:
    return int(pipeline.text_encoder.config.hidden_size)


def _filled(adapter: TextAdapter, tensors: Mapping[str, Tensor]) -> TextAdapter:
    own = {f"{PREFIX}{name}": value for name, value in adapter.state_dict().items()}
    wrong = [name for name in own if name not in tensors or tensors[name].shape != own[name].shape]
    wrong += [name for name in tensors if name not in own]
    if wrong:
        raise ArtifactError(f"the T5 adapter's weights do not fit its card, first: '{wrong[0]}'")
    adapter.load_state_dict({name.removeprefix(PREFIX): value.float() for name, value in tensors.items()})
    return adapter.requires_grad_(False)
