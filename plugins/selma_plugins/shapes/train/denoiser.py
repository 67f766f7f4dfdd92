"""The denoiser of a bundled model: a UNet with v-prediction on 16 x 16 x 4 latents.

The captions follow a curriculum. In the first phase few are wrong, so that colours, counts and
relations are learned at all; in the second the share of wrong ones is that of `corruption`, and
while the rate falls to zero the model takes on the odds of right and wrong that they have.
"""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import torch
from attrs import frozen
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from selma_plugins.shapes.captions import training_caption
from selma_plugins.shapes.scene import Scene
from selma_plugins.shapes.spec import groups_of
from selma_plugins.shapes.train import checkpoint
from selma_plugins.shapes.train.clock import Clock, rate, say
from selma_plugins.shapes.train.latents import load_shards
from selma_plugins.shapes.train.layout import LayoutReader, layouts
from selma_plugins.shapes.train.team import Team
from selma_plugins.shapes.train.text import WIDTH, encode
from selma_plugins.shapes.train.vae import LATENT_CHANNELS

AVERAGE_EVERY = 4
Publish = Callable[[UNet2DConditionModel], None]


@frozen
class DenoiserOptions:
    """Settings of a denoiser's training; the curriculum is `phase`, `clean` and `noisy`."""

    work: Path
    name: str
    seed: int = 0
    minutes: float = 72.0
    steps: int = 0
    batch: int = 32
    channels: tuple[int, ...] = (32, 64, 128)
    peak: float = 1.2e-3
    hold: float = 0.5  # the rate falls from this share of the run on
    phase: float = 0.57  # the second phase begins at this share of the run
    clean: float = 0.12  # strength of the mistakes in the first phase
    noisy: float = 1.0  # and in the second
    early: float = 0.0  # share of samples at times of much noise, where the layout is decided
    power: float = 1.0  # of the weights that even out the losses over the noise levels
    pairs: float = 0.0  # share of samples taken from scenes of two single objects
    singles: float = 0.0  # and from scenes of one object
    layout: float = 0.2  # weight of the second lesson, see `layout`
    drop: float = 0.1  # captions left out, for guidance
    shards: int = 10
    average: float = 0.999
    device: str = "cpu"
    compiled: bool = False
    leg: int = 0  # 1, 2, ... train a finished model on, each for a budget of its own
    team: Team = Team()


def build(channels: tuple[int, ...]) -> UNet2DConditionModel:
    """A UNet that attends to the text at 8 x 8 and 4 x 4; 16 x 16 is left to convolutions."""
    levels = len(channels) - 1
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=channels,
        layers_per_block=1,
        down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * levels),
        up_block_types=(*["CrossAttnUpBlock2D"] * levels, "UpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
    )


def scheduler() -> DDIMScheduler:
    """The noise schedule of training; it ends in pure noise, so sampling starts from there."""
    return DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
    )


class Run:
    """One training run: its model, average, optimizer and place in the budget."""

    def __init__(self, options: DenoiserOptions) -> None:
        self.options = options
        torch.manual_seed(options.seed)
        self.model = build(options.channels).to(options.device)
        self.ema = build(options.channels).to(options.device).requires_grad_(False)
        self.ema.load_state_dict(self.model.state_dict())
        self.reader = LayoutReader(self.model).to(options.device)
        self.trained = nn.ModuleList([self.model, self.reader])
        self.optimizer = torch.optim.AdamW(
            self.trained.parameters(), lr=options.peak, betas=(0.9, 0.99), weight_decay=0.01, fused=True
        )
        self.clock, self.step = Clock(options.minutes, options.steps), 0
        self.file = options.work / f"{options.name}.safetensors"
        self.resume()
        # Where the checkpoint is, not the clock: it must be the same in all processes of a team.
        o = options
        self.begun = self.step / o.steps if o.steps else self.clock.spent / (60 * o.minutes)

    def resume(self) -> None:
        """Take up the last checkpoint, if there is one."""
        saved = checkpoint.load(self.file)
        if saved:
            self.model.load_state_dict(saved["model"])
            self.ema.load_state_dict(saved["ema"])
            self.reader.load_state_dict(saved["reader"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.step = saved["step"]
            # A further leg begins with a budget and a learning rate of its own.
            self.clock.spent = saved["seconds"] if saved.get("leg", 0) == self.options.leg else 0.0
            for group in self.optimizer.param_groups:
                group["fused"] = True

    def save(self) -> None:
        """Write a checkpoint."""
        state = {name: getattr(self, name).state_dict() for name in ("model", "ema", "reader", "optimizer")}
        place = {"step": self.step, "seconds": self.clock.seconds, "leg": self.options.leg}
        checkpoint.save(self.file, {**state, **place})

    @torch.no_grad()
    def follow(self) -> None:
        """Move the average towards the model, but not at every step, as that costs time."""
        if self.step % AVERAGE_EVERY:
            return
        keep = min(self.options.average, (1 + self.step) / (10 + self.step)) ** AVERAGE_EVERY
        pairs = zip(self.ema.parameters(), self.model.parameters(), strict=True)
        for average, weight in pairs:
            average.lerp_(weight, 1 - keep)


class Data:
    """Scenes, their latents, and captions drawn afresh for every batch."""

    def __init__(self, options: DenoiserOptions, encoder: CLIPTextModel, tokenizer: CLIPTokenizer, seed: int) -> None:
        self.options, self.tokenizer = options, tokenizer
        self.encoder = encoder.to(options.device).eval()
        self.rng = Random(seed)
        self.scenes: list[Scene] = []
        self.latents = self.layouts = torch.empty(0)
        self.one: list[int] = []
        self.two: list[int] = []
        self.reload()

    def reload(self) -> None:
        """Read the shards that exist by now."""
        if len(self.scenes) < self.options.shards * 4096:
            self.scenes, self.latents = load_shards(self.options.work, self.options.shards)
            self.layouts = layouts(self.scenes)
            self.one = [i for i, s in enumerate(self.scenes) if len(s.objects) == 1]
            self.two = [i for i, s in enumerate(self.scenes) if len(s.objects) == len(groups_of(s)) == 2]

    def pick(self) -> int:
        """The index of a scene: of two objects or of one at the shares asked for, else any."""
        share = self.rng.random()
        if share < self.options.pairs:
            return self.rng.choice(self.two)
        if share < self.options.pairs + self.options.singles:
            return self.rng.choice(self.one)
        return self.rng.randrange(len(self.scenes))

    @torch.no_grad()
    def batch(self, strength: float) -> tuple[Tensor, Tensor, Tensor]:
        """Latents (b, 4, 16, 16), text states (b, 48, 128) and layouts (b, 3, 16, 16)."""
        o = self.options
        picks = [self.pick() for _ in range(o.batch)]
        texts = [
            "" if self.rng.random() < o.drop else training_caption(self.scenes[i], self.rng, strength)[1] for i in picks
        ]
        states = self.encoder(encode(self.tokenizer, texts).to(o.device))[0]
        return self.latents[picks].float().to(o.device), states, self.layouts[picks].to(o.device)


class Levels:
    """The running mean loss at each noise level, by which the losses there are divided.

    At both ends of the schedule most of the loss cannot be helped: without this its noise would
    drown what the middle has to teach, where shapes are decided.
    """

    def __init__(self, power: float = 1.0, bins: int = 25, keep: float = 0.98) -> None:
        self.power = power
        self.keep, self.total, self.count = keep, torch.zeros(bins), torch.zeros(bins)

    def weigh(self, losses: Tensor, times: Tensor, steps: int) -> Tensor:
        """Take in the losses (b,) at times (b,) of `steps`; their weights, of mean about 1."""
        bins = times.cpu() * len(self.total) // steps
        self.total.mul_(self.keep).index_add_(0, bins, losses.detach().cpu())
        self.count.mul_(self.keep).index_add_(0, bins, torch.ones(len(bins)))
        inverse = (self.count + 0.1) / (self.total + 0.1 * losses.detach().mean().cpu())
        inverse = inverse**self.power
        return (inverse / inverse.mean())[bins].to(losses.device)


def v_loss(
    model: Callable[..., Any], latents: Tensor, states: Tensor, alphas: Tensor, levels: Levels, early: float
) -> tuple[Tensor, float]:
    """The weighted loss of the predicted velocity at random times, and the plain mean of it."""
    spots = torch.rand(len(latents), device=latents.device)
    spots = torch.where(torch.rand_like(spots) < early, 0.6 + 0.4 * spots, spots)
    times = (spots * len(alphas)).long()
    noise = torch.randn_like(latents)
    signal = alphas[times].sqrt()[:, None, None, None]
    spread = (1 - alphas[times]).sqrt()[:, None, None, None]
    out = model(signal * latents + spread * noise, times, states, return_dict=False)[0]
    losses = (out - (signal * noise - spread * latents)).square().mean(dim=(1, 2, 3))
    return (losses * levels.weigh(losses, times, len(alphas))).mean(), losses.mean().item()


def train(options: DenoiserOptions, encoder: CLIPTextModel, tokenizer: CLIPTokenizer,
          publish: Publish) -> UNet2DConditionModel:  # fmt: skip
    """Train for the budget; `publish` gets the averaged model now and then. Returns the average."""
    run = Run(options)
    team = options.team
    own = options.seed + run.step + 10**6 * team.rank
    data = Data(options, encoder, tokenizer, own)
    torch.manual_seed(own)
    team.meet(options.work / f"{options.name}.team")
    alphas = scheduler().alphas_cumprod.to(options.device)
    forward = torch.compile(run.model) if options.compiled else run.model
    levels = Levels(options.power)
    log, losses, published = options.work / f"{options.name}.log", [], run.clock.seconds
    progress = run.begun
    while progress < 1:
        strength = options.clean if progress < options.phase else options.noisy
        for group in run.optimizer.param_groups:
            group["lr"] = rate(progress, options.peak, warm=0.02, hold=options.hold)
        latents, states, wanted = data.batch(strength)
        loss, plain = v_loss(forward, latents, states, alphas, levels, options.early)
        told = run.reader(wanted)
        loss = loss + options.layout * told
        run.optimizer.zero_grad()
        torch.autograd.backward(loss)
        progress = team.share(run.trained, options.batch, run.clock.progress(run.step + 1))
        torch.nn.utils.clip_grad_norm_(run.trained.parameters(), 1.0)
        run.optimizer.step()
        run.step += 1
        run.follow()
        losses.append((plain, told.item()))
        if run.step % 100 == 0 and team.rank == 0:
            plain, told = torch.tensor(losses).mean(0).tolist()
            say(log, f"{options.name} step {run.step} seconds {run.clock.seconds:.0f} "
                f"loss {plain:.4f} layout {told:.4f} strength {strength} "
                f"scenes {len(data.scenes)}")  # fmt: skip
            losses = []
            data.reload()
        if run.clock.seconds - published > 480 and team.rank == 0:
            run.save()
            publish(run.ema)
            published = run.clock.seconds
    if team.rank:
        return run.ema
    run.save()
    publish(run.ema)
    say(log, f"{options.name} done after {run.step} steps, {run.clock.seconds:.0f} s")
    return run.ema
