"""The trainer `sur_adapter`: from images with pairs of prompts to an adapter on the text embedding."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from selma_core.data import Entry, ImageItem
from selma_core.errors import UserError
from selma_core.options import Slot
from selma_core.protocols import TrainedAdapter, TrainJob
from selma_core.seeds import derive_seed
from selma_plugins.diffusion.loading import denoiser_name, load_pipeline, model_folder
from selma_plugins.diffusion.matched import card_of, chosen_slot
from selma_plugins.sur.beside import Beside
from selma_plugins.sur.encoder import CARD, NETWORK, PROBE, PROJECTION, Build, SurEncoder
from selma_plugins.sur.loop import Lesson, SurLoop
from selma_plugins.sur.options import SurOptions
from selma_plugins.sur.pairs import pairs_of
from selma_plugins.sur.preparing import prepared
from selma_plugins.sur.starting import start_network
from selma_plugins.sur.teacher import Reading, Teacher, lesson
from selma_plugins.training.families import family_of
from selma_plugins.training.noise import Objective
from selma_plugins.training.split import hold_out


class SurTrainer:
    """`selma_core.protocols.AdapterTrainer`."""

    def __init__(self, options: SurOptions) -> None:
        self._options = options

    def train(self, job: TrainJob) -> TrainedAdapter:
        """Trains on all images but those of the held-out simple prompts.

        Raises:
            ModelError: base or teacher is missing or broken. ArtifactError: for a start adapter of another encoder.
            UserError: images without pairs, a model with a pooled embedding, several processes.
            StageError: when the loss is no number any more, or memory runs out.
        """
        from accelerate import Accelerator

        options, context = self._options, job.context
        pairs_of(job.images)
        images = [_simple(item) for item in job.images]
        train, heldout = hold_out(images, options.heldout)
        items = [*train, *heldout]
        accelerator = Accelerator(cpu=context.device == "cpu")
        if accelerator.num_processes > 1:
            raise UserError("the trainer 'sur_adapter' runs in one process; start it without accelerate launch")
        device = torch.device(context.device)
        autocast = _autocast(options.precision, device)
        model = context.entry("models", options.model)
        pipeline = load_pipeline(model_folder(model), autocast or torch.float32).to(device)
        encoder = self._encoder(job)
        teaching = self._vectors(job, items)
        build, probe = self._build(encoder, pipeline), encoder.probe(pipeline)
        network = encoder.start(build, context.seed).to(device).requires_grad_(True)
        projection = self._projection(teaching, build.width, context.seed, device)
        start_network(job.adapter, network, projection)
        with ExitStack() as stack:
            beside = stack.enter_context(Beside(pipeline, options.lora(), job.adapter).used(context.seed, job.images))
            data, complexes = prepared(options, job, pipeline, encoder, items, len(train), device, autocast)
            denoiser = getattr(pipeline, denoiser_name(pipeline)).to(device).train()
            if options.gradient_checkpointing == "on":
                denoiser.enable_gradient_checkpointing()
            weights = {f"{NETWORK}{name}": weight for name, weight in network.named_parameters()}
            if projection is not None and self._learns_projection:
                weights |= {f"{PROJECTION}{name}": weight for name, weight in projection.named_parameters()}
            loop = SurLoop(
                options=options,
                settings=options,
                weights={**weights, **beside.weights},
                denoiser=denoiser,
                predict=family_of(denoiser),
                objective=Objective(
                    pipeline.scheduler,
                    options.min_snr,
                    options.flow_sampling,
                    (options.min_timestep, options.max_timestep),
                ),
                data=data,
                accelerator=accelerator,
                device=device,
                autocast=autocast,
                workdir=context.workdir,
                progress=context.progress,
                warn=context.warn,
                lesson=Lesson(
                    network=network,
                    projection=projection,
                    complexes=[item.prompt.meta["complex"] for item in items],
                    embeddings=complexes,
                    vectors=teaching,
                    alike=torch.tensor([item.prompt.meta["complex"] == item.prompt.text for item in items]),
                    masked=build.mask_padding,
                    dropout_seed=context.seed,
                ),
            )
            kept = loop.run()
            tensors = beside.tensors(kept)
        learnt = {name: value.float().cpu() for name, value in kept.items() if name in weights}
        card = self._card(job, model, build, loop, beside, train, heldout)
        return TrainedAdapter(tensors=tensors, metadata=card, curve=tuple(loop.rows), encoder={**learnt, PROBE: probe})

    # --- the parts ----------------------------------------------------------------------------------------

    @property
    def _learns_projection(self) -> bool:
        return self._options.projection == "learned" and not self._options.released

    def _encoder(self, job: TrainJob) -> SurEncoder:
        slot = self._slot(job)
        encoder = job.context.component("text_encoder", slot)
        if not isinstance(encoder, SurEncoder):
            raise UserError("text_encoder: the trainer 'sur_adapter' trains the encoder 'sur_adapter' only")
        if slot.options.get("eta") is not None:
            raise UserError("text_encoder.options.eta: is of drawing; for training set the option 'eta' of the trainer")
        return encoder

    def _slot(self, job: TrainJob) -> Slot:
        start = () if job.adapter is None else (job.adapter,)
        return chosen_slot(self._options.text_encoder, start, job.context)

    def _build(self, encoder: SurEncoder, pipeline: Any) -> Build:
        """The network for this pipeline: its width is read from what the encoder gives."""
        o = self._options
        return Build(
            width=encoder.plain(pipeline, [""]).hidden.shape[-1],
            depth=o.depth,
            heads=o.heads,
            eta=o.eta,
            residual="convex" if o.released else o.residual,
            legacy=o.released,
            mask_padding=o.mask_padding,
        )

    def _vectors(self, job: TrainJob, items: Sequence[ImageItem]) -> Tensor | None:
        """[N, D] of the teacher, one per item; None when it has no weight."""
        o, context = self._options, job.context
        if not o.llm_weight:
            return None
        reading = Reading(layer=o.teacher_layer, pool=o.teacher_pool, drop_bos=o.teacher_drop_bos)
        teacher = Teacher(o.teacher, reading, context, context.workdir / "teacher")
        texts = sorted({item.prompt.text for item in items})
        found = teacher.vectors(texts, lambda done: context.progress(0, o.steps, f"teacher {done}/{len(texts)}"))
        found = lesson(found, standardise=o.standardise, drop_dims=o.drop_dims)
        place = {text: number for number, text in enumerate(texts)}
        return found[[place[item.prompt.text] for item in items]]

    def _projection(self, vectors: Tensor | None, width: int, seed: int, device: torch.device) -> nn.Module | None:
        if vectors is None:
            return None
        given = self._options.projection_seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed("sur-projection", seed if given is None else given))
            made = nn.Linear(vectors.shape[1], width)
        return made.to(device).requires_grad_(self._learns_projection)

    def _card(
        self,
        job: TrainJob,
        model: Entry,
        build: Build,
        loop: SurLoop,
        beside: Beside,
        train: Sequence[ImageItem],
        heldout: Sequence[ImageItem],
    ) -> dict[str, Any]:
        o = self._options
        picked = o.select == "heldout" and bool(loop.best)
        teacher = {
            "teacher": o.teacher or None,
            "layer": o.teacher_layer,
            "pool": o.teacher_pool,
            "drop_bos": o.teacher_drop_bos,
            "standardise": o.standardise,
            "drop_dims": list(o.drop_dims),
            "projection": "learned" if self._learns_projection else "random",
            "projection_seed": job.context.seed if o.projection_seed is None else o.projection_seed,
        }
        return {
            "base": str(model.data.get("base_id") or model.name),
            "base_pin": model.pin,
            **beside.card(),
            "method": "sur_adapter",
            **card_of(self._slot(job)),
            CARD: attrs.asdict(build),
            **({"teaching": teacher} if o.llm_weight else {}),
            "weights": {
                "diffusion": o.diffusion_weight,
                "prompt": o.prompt_weight,
                "llm": o.llm_weight,
                "keep": o.keep_weight,
            },
            "released": o.released,
            "prediction": loop.objective.prediction,
            "steps": loop.step,
            "kept_step": loop.best_step if picked else loop.step,
            "samples": loop.step * loop.data.sampler.batch,
            "seed": job.context.seed,
            "images": len(train),
            "heldout_images": len(heldout),
            "heldout_before": loop.before,
        }


def _simple(item: ImageItem) -> ImageItem:
    """The image with its simple prompt, whatever it was drawn from."""
    return attrs.evolve(item, prompt=attrs.evolve(item.prompt, text=str(item.prompt.meta["simple"])))


def _autocast(name: str, device: torch.device) -> torch.dtype | None:
    if name == "auto":
        name = "no" if device.type != "cuda" else "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    return {"no": None, "fp16": torch.float16, "bf16": torch.bfloat16}[name]
