"""One loaded model for all who name it, and none that nobody needs."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from selma_core.pool import ModelKey, ModelPool, borrow, process_pool
from selma_core.result import Run
from tests.engine.kit import LIGHT, write_recipe


class Model:
    """Something that can be watched."""


KEY = ModelKey(loader="test", pin="sha256:0")
OTHER = ModelKey(loader="test", pin="sha256:1")


def test_one_key_is_loaded_once_and_freed_after_the_last_release() -> None:
    pool, loads = ModelPool(), []

    def load() -> Model:
        loads.append(1)
        return Model()

    first, second = pool.acquire(KEY, load), pool.acquire(KEY, load)
    assert first.model is second.model
    assert pool.loaded() == {KEY: 2}
    watched = weakref.ref(first.model)
    first.release()
    first.release()  # twice is once
    assert pool.loaded() == {KEY: 1}
    assert pool.trim() == 0
    second.release()
    assert pool.acquire(KEY, load).model is watched()  # idle, still here for who comes next; that lease is forgotten
    gc.collect()
    assert pool.loaded() == {KEY: 0}
    assert (pool.trim(), watched(), len(loads)) == (1, None, 1)


@pytest.mark.parametrize("field", ["loader", "pin", "dtype", "device"])
def test_every_part_of_the_key_counts(field: str) -> None:
    pool = ModelPool()
    other = ModelKey(**{"loader": "test", "pin": "sha256:0", field: "else"})
    assert pool.acquire(KEY, Model).model is not pool.acquire(other, Model).model


def test_an_idle_model_goes_before_another_is_loaded() -> None:
    pool = ModelPool()
    lease = pool.acquire(KEY, Model)
    watched = weakref.ref(lease.model)
    lease.release()

    def load() -> Model:
        assert watched() is None, "both were in memory"
        return Model()

    assert pool.acquire(OTHER, load).model is not None
    assert list(pool.loaded()) == [OTHER]


def test_a_held_model_stays_while_another_is_loaded() -> None:
    pool = ModelPool()
    first, second = pool.acquire(KEY, Model), pool.acquire(OTHER, Model)
    assert pool.loaded() == {KEY: 1, OTHER: 1}
    assert first.model is not second.model


def test_a_failed_load_leaves_nothing() -> None:
    pool = ModelPool()

    def broken() -> Model:
        raise OSError("cut short")

    with pytest.raises(OSError, match="cut short"):
        pool.acquire(KEY, broken)
    assert pool.loaded() == {}
    assert isinstance(pool.acquire(KEY, Model).model, Model)


def test_threads_that_ask_together_load_once() -> None:
    pool, loads, leases = ModelPool(), [], []

    def load() -> Model:
        loads.append(1)
        time.sleep(0.02)
        return Model()

    threads = [threading.Thread(target=lambda: leases.append(pool.acquire(KEY, load))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1
    assert pool.loaded() == {KEY: 8}


def test_without_a_context_the_owner_holds_it() -> None:
    class Owner:
        pass

    owner, key = Owner(), ModelKey(loader="test", pin="owner")
    borrow(None, key, Model, owner)
    assert process_pool().loaded()[key] == 1
    del owner
    gc.collect()
    assert process_pool().loaded()[key] == 0
    process_pool().trim()


def two_scores(folder: Path, second: str, *, drawn_anew: bool = False) -> None:
    """Writes a recipe with two evaluators, `big` judging for the first; the second may read images of its own."""

    def score(weights: str, strict: bool, images: str) -> dict[str, Any]:
        judge = {"use": "fake_judge", "options": {"weights": weights, "strict": strict}}
        return {"kind": "evaluator", "use": "fake_light", "from": {"images": images}, "options": {"judge": judge}}

    stages = {name: LIGHT["stages"][name] for name in ("prompts", "images")} | {"a": score("big", True, "images")}
    if drawn_anew:
        best = {"kind": "selector", "use": "fake_first", "from": {"images": "images", "scores": "a"}}
        again = {**LIGHT["stages"]["images"], "options": {"k": 1}, "from": {"prompts": "prompts", "adapter": "tuned"}}
        tuned = {"kind": "adapter_trainer", "use": "fake_train", "from": {"images": "best"}}
        stages |= {"best": best, "tuned": tuned, "again": again}
    stages["b"] = score(second, False, "again" if drawn_anew else "images")
    write_recipe(folder / "two.yaml", {**LIGHT, "stages": stages})


@pytest.mark.parametrize(("second", "loads"), [("big", ["big"]), ("small", ["big", "small"])])
def test_two_evaluators_that_name_one_judge_load_it_once(
    start: Callable[..., Run], folder: Path, log: Any, second: str, loads: list[str]
) -> None:
    two_scores(folder, second)
    run = start("two")
    assert run.ok, run.failed
    assert [line.split()[1] for line in log() if line.startswith("load")] == loads
    gc.collect()
    assert not process_pool().loaded(), "nothing is left when the run has ended"


def test_a_failed_stage_gives_its_judge_back(
    start: Callable[..., Run], folder: Path, log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_scores(folder, "big")
    monkeypatch.setenv("FAKE_FAIL", "scores")
    assert not start("two").ok
    assert process_pool().loaded() == {}


def test_an_idle_judge_makes_room_for_training_and_drawing(start: Callable[..., Run], folder: Path, log: Any) -> None:
    two_scores(folder, "big", drawn_anew=True)
    run = start("two")
    assert run.ok, run.failed
    assert [line.split()[1] for line in log() if line.startswith("load")] == ["big", "big"]
