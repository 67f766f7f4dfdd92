"""The training code's parts that do not need a training run."""

from pathlib import Path

import pytest
import torch
from selma_plugins.shapes.scene import COLORS, SHAPES, SIZES, Object, Scene
from selma_plugins.shapes.train import checkpoint
from selma_plugins.shapes.train.clock import Clock, rate, say
from selma_plugins.shapes.train.denoiser import DenoiserOptions, Levels, Run, build, scheduler
from selma_plugins.shapes.train.layout import LayoutReader, layouts
from selma_plugins.shapes.train.team import Team


def test_the_rate_rises_holds_and_falls_to_zero() -> None:
    assert rate(0.0, 1.0) < 0.02
    assert rate(0.3, 1.0, hold=0.5) == 1.0
    assert rate(1.0, 1.0, hold=0.5) == pytest.approx(0.0)
    assert 0 < rate(0.75, 1.0, hold=0.5) < 1


def test_a_clock_counts_steps_where_they_are_given_and_else_minutes() -> None:
    assert Clock(minutes=1, steps=10).progress(5) == 0.5
    late = Clock(minutes=1, spent=90)
    assert late.progress(0) == 1.0
    assert late.seconds >= 90


def test_a_checkpoint_holds_an_optimizer(tmp_path: Path) -> None:
    def fresh() -> tuple[torch.nn.Linear, torch.optim.AdamW]:
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 2)
        return model, torch.optim.AdamW(model.parameters(), lr=0.1)

    def step(model: torch.nn.Linear, optimizer: torch.optim.AdamW) -> None:
        optimizer.zero_grad()
        model(torch.ones(1, 3)).square().sum().backward()
        optimizer.step()

    model, optimizer = fresh()
    step(model, optimizer)
    checkpoint.save(tmp_path / "run.safetensors", {"model": model.state_dict(), "optimizer": optimizer.state_dict()})
    step(model, optimizer)
    other, resumed = fresh()
    saved = checkpoint.load(tmp_path / "run.safetensors")
    assert saved is not None
    other.load_state_dict(saved["model"])
    resumed.load_state_dict(saved["optimizer"])
    step(other, resumed)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def test_a_checkpoint_is_whole_or_absent(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "run.safetensors"
    assert checkpoint.load(file) is None
    checkpoint.save(file, {"step": 3})
    assert checkpoint.load(file) == {"step": 3}
    assert [f.name for f in file.parent.iterdir()] == ["run.safetensors"]


def test_a_failed_export_leaves_the_last_one(tmp_path: Path) -> None:
    target = tmp_path / "model"

    def good(draft: Path) -> None:
        draft.mkdir()
        (draft / "weights").write_text("first")

    def bad(draft: Path) -> None:
        draft.mkdir()
        raise OSError("disk full")

    checkpoint.publish(target, good)
    with pytest.raises(OSError, match="disk full"):
        checkpoint.publish(target, bad)
    assert (target / "weights").read_text() == "first"
    checkpoint.publish(target, good)
    assert sorted(f.name for f in tmp_path.iterdir()) == ["model"]


def test_losses_are_evened_out_over_the_noise_levels() -> None:
    levels, generator = Levels(), torch.Generator().manual_seed(0)
    for _ in range(200):
        times = torch.randint(1000, (64,), generator=generator)
        losses = 0.1 + 0.9 * (times / 1000) ** 2
        weighed = levels.weigh(losses, times, 1000) * losses
    assert weighed.std() / weighed.mean() < 0.1


def test_a_run_resumes_and_a_further_leg_has_its_own_budget(tmp_path: Path) -> None:
    options = DenoiserOptions(work=tmp_path, name="tiny", channels=(16, 32, 32), steps=10)
    first = Run(options)
    first.step, first.clock.spent = 7, 50.0
    first.save()
    again = Run(options)
    assert (again.step, again.begun) == (7, 0.7)
    assert again.clock.spent >= 50
    assert all(torch.equal(a, b) for a, b in zip(again.model.parameters(), first.model.parameters(), strict=True))
    assert Run(DenoiserOptions(work=tmp_path, name="tiny", channels=(16, 32, 32), leg=1)).clock.spent == 0.0


def test_a_layout_says_what_is_at_each_place() -> None:
    ring = Object("ring", "cyan", "small", cx=10, cy=50)
    [(shapes, colors, sizes)] = layouts([Scene((ring,), "black")])
    there = shapes == SHAPES.index("ring")
    assert there.nonzero().tolist() == [[y, x] for y in range(11, 14) for x in range(1, 4)]
    assert (colors[there] == COLORS.index("cyan")).all()
    assert (shapes[~there] == len(SHAPES)).all()
    assert (colors[~there] == len(COLORS)).all()
    assert (sizes[there] == SIZES.index("small")).all()
    assert (sizes[~there] == len(SIZES)).all()


def test_the_lesson_in_layout_reaches_the_denoiser_and_falls() -> None:
    torch.manual_seed(0)
    unet = build((16, 32, 32))
    reader = LayoutReader(unet)
    wanted = layouts([Scene((Object("star", "red", "large", 20, 30),), "white")] * 2)
    optimizer = torch.optim.AdamW([*unet.parameters(), *reader.parameters()], lr=3e-3)
    noisy, states, losses = torch.randn(2, 4, 16, 16), torch.randn(2, 48, 128), []
    for _ in range(6):
        unet(noisy, torch.tensor([500, 900]), states)
        loss = reader(wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert unet.mid_block.resnets[0].conv1.weight.grad.abs().sum() > 0
    assert losses[-1] < 0.9 * losses[0]


def test_a_team_of_one_changes_nothing() -> None:
    model = torch.nn.Linear(2, 1)
    model(torch.ones(1, 2)).sum().backward()
    before = model.weight.grad.clone()
    assert Team().share(model, 4, 0.25) == 0.25
    assert torch.equal(model.weight.grad, before)


def test_the_schedule_ends_in_noise_and_the_denoiser_keeps_its_shape() -> None:
    assert float(scheduler().alphas_cumprod[-1]) < 1e-6
    unet = build((16, 32, 32))
    out = unet(torch.randn(2, 4, 16, 16), torch.tensor([5, 900]), torch.randn(2, 48, 128)).sample
    assert out.shape == (2, 4, 16, 16)


def test_a_log_grows_by_lines(tmp_path: Path) -> None:
    say(tmp_path / "a" / "log", "one")
    say(tmp_path / "a" / "log", "two")
    assert (tmp_path / "a" / "log").read_text() == "one\ntwo\n"
