"""What an implementation of each kind must satisfy. A factory is called as `factory(options)`.

Everything an implementation needs beyond its options arrives in one frozen job record with a `Context`,
so no method ever needs a new argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import attrs

from selma_core.data import (
    Atom,
    ChatReply,
    ChatRequest,
    Entry,
    ImageItem,
    ImageRequest,
    ItemAtoms,
    MetricInfo,
    Prompt,
    PromptBatch,
    Summary,
)
from selma_core.options import Slot
from selma_core.pool import ModelKey

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

    from selma_core.artifacts.scores import ScoreTable


class Context(Protocol):
    """What the core hands to a running stage."""

    @property
    def seed(self) -> int:
        """The run seed."""

    @property
    def device(self) -> str:
        """A torch device string, `auto` already resolved (`cpu`, `cuda`, `cuda:1`)."""

    @property
    def workdir(self) -> Path:
        """A folder that survives a kill and is given again to the same stage; deleted once it is stored."""

    def component(self, kind: str, slot: Slot) -> Any:
        """The implementation that a `Slot` option names (built once per stage, then shared)."""

    def reward(self, slot: Slot) -> Reward:
        """The differentiable reward of the evaluator that a `Slot` option names (built once per stage, then shared).

        The option is declared `component("evaluator")`: a reward goes by its evaluator's name and takes its options.

        Raises:
            UserError: the evaluator has none; `selma_core.rewards.RewardFromEvaluator` wraps it without a gradient.
        """

    def entry(self, section: str, name: str) -> Entry:
        """The registry entry that an `entry` option names, pinned and present on this machine.

        Raises:
            ModelError: when the files are not here; the message says which command fetches them.
        """

    def scorer(self) -> Entry:
        """The trained scorer at the stage's port `scorer`, as the entry of a model; pinned by its stage's fingerprint.

        Raises:
            StageError: the port is open, or the stage has none.
        """

    def model(self, key: ModelKey, load: Callable[[], Any]) -> Any:
        """What `load` gives, or the object that this process already holds under `key`; see `selma_core.pool`.

        It is shared: change nothing of it. It stays loaded until the stage ends at least, so keep no reference longer.
        """

    def progress(self, done: int, total: int, note: str = "") -> None:
        """Moves the stage's progress bar; cheap, may be called per item."""

    def warn(self, message: str) -> None:
        """One line that the user sees, and that the manifest and the report keep."""


@runtime_checkable
class Attachable(Protocol):
    """A component that needs the stage's context: a chat model that loads a registry model onto the device."""

    def attach(self, context: Context) -> None:
        """Called once by `Context.component`, after building and before first use; loads nothing yet."""


# --- prompt source ----------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class PromptJob:
    """Attributes: done = batches stored before a kill, in order: an empty tuple on a first run."""

    context: Context
    done: tuple[PromptBatch, ...] = ()


@runtime_checkable
class PromptSource(Protocol):
    """Skill -> prompts."""

    def prompts(self, job: PromptJob) -> Iterator[PromptBatch]:
        """Yields the batches after `job.done`; a resumed run must equal an uninterrupted one."""


@runtime_checkable
class Describing(Protocol):
    """A prompt source over a benchmark that can say what is in it, for `selma benchmarks show`."""

    def contents(self, context: Context) -> Mapping[str, Any]:
        """JSON: `{format, prompts, questions, groups: {name: prompts}}`."""


# --- chat model -------------------------------------------------------------------------------------------


@runtime_checkable
class ChatModel(Protocol):
    """Messages of text and images -> replies. LLM prompting, VQA, captioning and judging go through it."""

    @property
    def identity(self) -> str:
        """Who answers, for tables (`shapes_oracle`, `openai:gpt-4o`); never a key."""

    def reply(self, requests: Sequence[ChatRequest]) -> list[ChatReply]:
        """One reply per request, in order; batching and concurrency are the model's own business."""


# --- text encoder -----------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Embeddings:
    """Attributes: hidden [B, L, D] float; pooled [B, P] or None; mask [B, L] bool (True = real token) or None;
    raw [B, M, E] = states that an `EncoderLearner` has still to adapt, None in what a model reads."""

    hidden: torch.Tensor
    pooled: torch.Tensor | None = None
    mask: torch.Tensor | None = None
    raw: torch.Tensor | None = None


@runtime_checkable
class TextEncoder(Protocol):
    """Prompts -> embeddings for a pipeline."""

    def encode(self, pipeline: Any, prompts: Sequence[str]) -> Embeddings:
        """Encodes on the pipeline's device, without gradient. `""` gives the unconditional embedding."""


@attrs.frozen(kw_only=True)
class TokenUse:
    """How much of a prompt has an effect.

    Attributes: segments = parts that are encoded apart; tokens = of the words that are read, without start and end
    marks; dropped = of the words that are cut off.
    """

    segments: int
    tokens: int
    dropped: int


@runtime_checkable
class Counting(Protocol):
    """A text encoder that can say how much of a prompt it reads, so that a cut is told to the user."""

    def usage(self, pipeline: Any, prompts: Sequence[str]) -> Sequence[TokenUse] | None:
        """One for each prompt; None when nothing is ever cut. Runs tokenizers only."""


@runtime_checkable
class LearntEncoder(Protocol):
    """A text encoder with tensors of its own, that an adapter brings along (its `encoder.safetensors`)."""

    def load_learnt(self, tensors: Mapping[str, torch.Tensor], card: Mapping[str, Any]) -> None:
        """Takes over what a trainer stored in `TrainedAdapter.encoder`; called once, before `encode`.

        Args: card = the adapter's `adapter.json`.

        Raises:
            ArtifactError: they are another encoder's, or for another base model.
        """


@runtime_checkable
class EncoderLearner(Protocol):
    """What a trainer of the denoiser can teach of a text encoder along with it."""

    @property
    def weights(self) -> Mapping[str, torch.nn.Parameter]:
        """Those that learn, fp32, by the names that they have in `TrainedAdapter.encoder`."""

    @property
    def about(self) -> Mapping[str, Any]:
        """What the adapter's card says of them under the encoder's name (JSON)."""

    def states(self, pipeline: Any, prompts: Sequence[str]) -> Embeddings:
        """The part of the embeddings that no weight changes, without gradient; it may be stored. `raw` is set."""

    def adapt(self, states: Embeddings, seed: int | None) -> Embeddings:
        """What `encode` would give, with the gradient of the weights.

        Args: states = from `states`, on the weights' device; seed = of dropout, None = without.
        """


@runtime_checkable
class TrainableEncoder(Protocol):
    """A text encoder of which something can be taught: the adapter then brings along what it learnt."""

    def learner(self, pipeline: Any, seed: int) -> EncoderLearner | None:
        """What can be taught, on the pipeline's device; it begins at what `load_learnt` brought, else at `seed`.

        None when nothing learns with the encoder's options.
        """


@runtime_checkable
class AdjustableEncoder(Protocol):
    """A text encoder some of whose options say how it is used, and not what was learnt with it.

    Whoever draws with an adapter, or trains on from it, may give these otherwise than its trainer did; all other
    options of `text_encoder` must be those of the training.
    """

    adjustable: tuple[str, ...]
    """Names of these options."""


# --- image generator --------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class ImageJob:
    """Attributes: requests = those not drawn yet; adapter = a LoRA file of the canonical form, or None;
    adapters = several of them, to be applied side by side, unmerged (port `adapters`; then `adapter` is None)."""

    context: Context
    requests: tuple[ImageRequest, ...]
    adapter: Path | None = None
    adapters: tuple[Path, ...] = ()


@runtime_checkable
class ImageGenerator(Protocol):
    """Prompts (+ adapter, + seeds) -> images."""

    @property
    def images_per_prompt(self) -> int:
        """K."""

    def images(self, job: ImageJob) -> Iterator[tuple[ImageRequest, Image]]:
        """Yields RGB images; each depends on its own request only, never on its batch."""


@attrs.frozen(kw_only=True)
class Found:
    """Attributes: files = prompt id -> index of the sample -> file, relative to where the images are; unmatched =
    files of no prompt."""

    files: Mapping[str, Mapping[int, str]]
    unmatched: tuple[str, ...] = ()


@runtime_checkable
class ImageImporter(Protocol):
    """An image generator over images that exist already. It may lack some: `images` leaves out what it cannot read,
    and the core counts what is there against `images_per_prompt`. Its images have no seed."""

    def find(self, prompts: Sequence[Prompt], context: Context) -> Found:
        """Which images there are; called once, before `images`, which gets a request for each."""


# --- selector ---------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class SelectJob:
    """Attributes: items = all candidates, K per prompt, in prompt order; scores = metric -> item_id -> value."""

    context: Context
    items: tuple[ImageItem, ...]
    scores: Mapping[str, Mapping[str, float | None]] = attrs.field(factory=dict)


@runtime_checkable
class Selector(Protocol):
    """Scored candidates of a prompt -> the ones kept."""

    def select(self, job: SelectJob) -> Sequence[tuple[ImageItem, Mapping[str, Any]]]:
        """The kept items, each with why (JSON) for the metadata. A prompt's `meta` may be added to; nothing else of an
        item may change."""


# --- adapter trainer --------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class TrainJob:
    """Attributes: images = the training set; adapter = a LoRA file to start from, or None; prompts = those of the port
    `prompts`, which a trainer reads that draws its own pictures."""

    context: Context
    images: tuple[ImageItem, ...]
    adapter: Path | None = None
    prompts: tuple[Prompt, ...] = ()


@attrs.frozen(kw_only=True)
class TrainedAdapter:
    """Attributes: tensors = canonical LoRA state dict (`unet.<module>.lora_A.weight` [r, in] / `lora_B.weight`
    [out, r], alpha folded into B); metadata = JSON for the adapter card (rank, base, steps, ...; `encoder` as
    `selma_core.artifacts.encoder.card_entry` gives it, where another text encoder than the pipeline's own was used);
    curve = rows `{"step", "loss", ...}` of the loss curve, `heldout` where it was measured;
    encoder = what the text encoder learnt, by name, fp32; empty when it learnt nothing."""

    tensors: Mapping[str, torch.Tensor]
    metadata: Mapping[str, Any] = attrs.field(factory=dict)
    curve: tuple[Mapping[str, float], ...] = ()
    encoder: Mapping[str, torch.Tensor] = attrs.field(factory=dict)


@runtime_checkable
class AdapterTrainer(Protocol):
    """Image set, or prompt set -> adapter. Resumes from `job.context.workdir` by itself, bit by bit on CPU."""

    def train(self, job: TrainJob) -> TrainedAdapter:
        """Trains on all of `job.images`."""


# --- merge strategy ---------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Factors:
    """A low-rank delta D = up @ down (scale folded in).

    Attributes: up [out, r]; down [r, in] (convolutions: [r, in, kh, kw] with up [out, r, 1, 1]); fp32.
    """

    up: torch.Tensor
    down: torch.Tensor


@attrs.frozen(kw_only=True)
class Measured(Factors):
    """Factors whose norms fell out on the way, so that the driver need not compute them.

    Attributes: norm = |D| of these factors; plain = |sum w_i D_i| of the experts (Frobenius, fp32 accuracy).
    """

    norm: float
    plain: float


@attrs.frozen(kw_only=True)
class Dense:
    """A delta as a matrix, for methods whose result has full rank.

    Attributes: delta [out, in] (convolutions flattened: in * kh * kw columns); fp32.
    """

    delta: torch.Tensor


@attrs.frozen(kw_only=True)
class LayerJob:
    """One layer of T experts.

    Attributes:
        name: module path with its component (`unet.down_blocks.0...to_q`).
        experts: T entries, None where an expert has no such layer (a zero delta). A strategy gets matrices: the driver
            flattens convolutions to up [out, r], down [r, in * kh * kw] and restores them in the result.
        weights: T floats. expert_ids: T stable ids (fingerprints), for seeded masks. seed: the run seed.
    """

    name: str
    experts: tuple[Factors | None, ...]
    weights: tuple[float, ...]
    expert_ids: tuple[str, ...]
    seed: int


@runtime_checkable
class MergeStrategy(Protocol):
    """Adapters -> adapter, one layer at a time; the core streams the layers from and to safetensors."""

    def weights(self, count: int, base: str) -> tuple[float, ...]:
        """The weight of each of `count` experts of the base model `base` (its id)."""

    def merge_layer(self, job: LayerJob) -> Factors | Dense | None:
        """The merged delta of one layer, low-rank or dense; None drops the layer."""


@runtime_checkable
class AveragesEncoders(Protocol):
    """A merge strategy under which tensors that text encoders learnt are averaged too, by the weights over their sum.

    They are no deltas, so other strategies refuse adapters whose encoders learnt different tensors.
    """

    averages_encoders: bool


@runtime_checkable
class Surveyor(Protocol):
    """A merge strategy that must see all layers before it merges the first, like a threshold over the whole model."""

    def survey(self, layers: Callable[[], Iterable[LayerJob]]) -> None:
        """Called once before the layers; each call of `layers` streams them all again, as `merge_layer` gets them."""


@attrs.frozen(kw_only=True)
class FitJob:
    """What a search for merge weights gets.

    Attributes: files = the experts' LoRA files; expert_ids = one stable id each; base = id of their base model.
    """

    context: Context
    files: tuple[Path, ...]
    expert_ids: tuple[str, ...]
    base: str


@attrs.frozen(kw_only=True)
class Fitted:
    """Attributes: weights = one per expert; trace = rows `{"step", "value", ...}` of the search, in order;
    record = JSON for the adapter card."""

    weights: tuple[float, ...]
    trace: tuple[Mapping[str, float], ...] = ()
    record: Mapping[str, Any] = attrs.field(factory=dict)


@runtime_checkable
class WeightFitter(Protocol):
    """A merge strategy that finds its weights itself; the stage calls `fit` once, before the layers."""

    def fit(self, job: FitJob) -> Fitted:
        """Weights for `merge_layer`. Goes on in `job.context.workdir` after a kill."""


# --- evaluator --------------------------------------------------------------------------------------------


@runtime_checkable
class Evaluator(Protocol):
    """Images and prompts -> observations -> scores. Only `observe` may touch models."""

    @property
    def info(self) -> MetricInfo:
        """Name, range, rules, judge."""

    def prepare(self, prompts: Sequence[Prompt], context: Context) -> Mapping[str, Any]:
        """prompt id -> spec (JSON: the questions, the groups); no images needed."""

    def observe(self, items: Sequence[ImageItem], specs: Mapping[str, Any], context: Context) -> Iterator[ItemAtoms]:
        """Streams the observations of each item; a failed call is an atom with status `error`."""

    def score(self, atoms: Sequence[Atom], spec: Any, rule: str) -> float | None:
        """The value of one image under a named rule. Pure: no model, no torch."""

    def aggregate(self, rows: Sequence[ItemAtoms], specs: Mapping[str, Any], rule: str) -> Summary:
        """The metric over all images under a named rule. Pure: no model, no torch."""


@runtime_checkable
class Comparing(Protocol):
    """An evaluator that compares the images with others of the same prompts: those at its stage's port `baseline`."""

    def against(self, baseline: Sequence[ImageItem]) -> None:
        """Called once before `prepare`, with no images when the port is open.

        Raises:
            UserError: it needs some.
        """


@attrs.frozen(kw_only=True)
class AnswersJob:
    """Attributes: path = a file of answers that somebody else's judge gave; benchmark = the entry with the questions;
    source = whose images the answers must be about, None = the only one the file knows."""

    path: Path
    benchmark: Entry
    source: str | None = None


@attrs.frozen(kw_only=True)
class Answers:
    """What a file of answers holds.

    Attributes:
        table: the observations, with a spec for every prompt that should have some.
        counts: numbers that belong to the score, by their name in the JSON (`neither_yes_nor_no`).
        notes: lines that the user should see.
    """

    table: ScoreTable
    counts: Mapping[str, int] = attrs.field(factory=dict)
    notes: tuple[str, ...] = ()


class AnswersReader(Protocol):
    """Released answers -> observations. Named in `EvaluatorRecord.reader`; pure reading: no model, no torch."""

    def __call__(self, job: AnswersJob) -> Answers:
        """Reads the file.

        Raises:
            ArtifactError: it is not in the format. UnknownNameError: it knows no such source; UserError: it knows
                several and none was named.
        """


@runtime_checkable
class Reward(Protocol):
    """The differentiable sibling of an evaluator: images [B, 3, H, W] in [0, 1] -> rewards [B].

    An `EvaluatorRecord` names it in `reward`; the factory gets the evaluator's options. One that loads models is
    `Attachable` too.
    """

    @property
    def info(self) -> MetricInfo:
        """Name, range, scale."""

    def __call__(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """Keeps the graph from images to rewards."""


@runtime_checkable
class RewardInParts(Protocol):
    """A reward that can say what it is made of, so that a trainer can log it."""

    def parts(self, images: torch.Tensor, prompts: Sequence[str]) -> Mapping[str, torch.Tensor]:
        """`score` is what calling it gives; the others are its parts; [B] each."""


# --- scorer trainer ---------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class ScorerJob:
    """Attributes: images = those of the port `images`; scores = metric (`metric:judge` where several judges measured
    it) -> item_id -> rule -> value, the rules in the metric's order; out = an empty folder for the model's files."""

    context: Context
    images: tuple[ImageItem, ...]
    scores: Mapping[str, Mapping[str, Mapping[str, float | None]]]
    out: Path


@attrs.frozen(kw_only=True)
class TrainedScorer:
    """Attributes: metadata = JSON for the card, `scorer.json` (steps, held-out accuracy, ...); curve = rows
    `{"step", "loss", ...}`."""

    metadata: Mapping[str, Any] = attrs.field(factory=dict)
    curve: tuple[Mapping[str, float], ...] = ()


@runtime_checkable
class ScorerTrainer(Protocol):
    """Scored images -> the model of a scorer. Resumes from `job.context.workdir` by itself, bit by bit on CPU."""

    def train(self, job: ScorerJob) -> TrainedScorer:
        """Writes the model into `job.out`: safetensors, and JSON or text beside them; `config.json` among them."""


# --- executor, tracker ------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Receipt:
    """What became of one job.

    Attributes: outcome = ran | reused | failed; error = one line for the user; trace = traceback for `-v`.
    """

    fingerprint: str
    outcome: str
    seconds: float
    error: str | None = None
    trace: str | None = None


@runtime_checkable
class Executor(Protocol):
    """Jobs -> receipts. A job is plain JSON and a pure function of content-addressed inputs."""

    @property
    def slots(self) -> int:
        """How many jobs it can run at once."""

    def submit(self, job: Mapping[str, Any], on_event: Callable[[Mapping[str, Any]], None]) -> Future[Receipt]:
        """Starts a job; `on_event` gets its progress events (JSON) from any thread."""

    def close(self) -> None:
        """Ends all workers."""


class Tracker(Protocol):
    """An observer the user switches on by name; gets the records of `selma_core.events`."""

    def on_event(self, event: Any) -> None:
        """Called for every event, in order, on the run's main thread."""
