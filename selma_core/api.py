"""What the commands `plan`, `why`, `evaluate`, `generate` and `merge` do, as functions with typed results.

`run` and `ablate` are in `selma_core.engine` and `selma_core.ablation`; all seven are names of `selma_core` itself.
Nothing here imports torch before it is needed: `plan` and `why` never do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from selma_core.catalog import Catalog
from selma_core.registry import Registry

if TYPE_CHECKING:
    from PIL.Image import Image

    from selma_core.evaluating import Evaluation
    from selma_core.events import Event
    from selma_core.graph.plan import Planned
    from selma_core.graph.why import Explanation

_ORIGIN = "the call"


@attrs.frozen(kw_only=True)
class MergedAdapter:
    """A LoRA file that `merge` wrote.

    Attributes:
        path: the file (a folder for `peft-dir`), absolute. base: id of the base model, "" if unknown.
        parents: sha256 of each merged file, in the order given. weights: one per file.
        norm_ratio: layer -> |merged delta| / |weighted sum of the deltas|.
        retained: layer -> share of the squared norm left after the cut to `rank`; 1 without one.
        card: the JSON object of `selma merge --json` without `path`: all of this, strategy, options and seed.
    """

    path: Path
    base: str
    parents: tuple[str, ...]
    weights: tuple[float, ...]
    norm_ratio: Mapping[str, float]
    retained: Mapping[str, float]
    card: Mapping[str, Any]


def plan(
    recipe: str | Path,
    overrides: Sequence[str] = (),
    *,
    store: Path | None = None,
    plugins: Sequence[Path] = (),
    until: Sequence[str] = (),
) -> tuple[Planned, ...]:
    """What `run` with the same arguments would do. Needs no network and no model files, and writes nothing.

    Examples:
        >>> [row.id for row in selma_core.plan("shapes") if row.status == "run"]

    Returns:
        one row per stage, inputs first: `id`, `status` (`run`, `hit`, `shared` or `suspect`), `node`.

    Raises:
        UserError: the recipe is wrong.
    """
    from selma_core.graph.plan import make_plan, members
    from selma_core.session import open_session

    session = open_session(recipe, overrides, store=store, plugins=plugins, until=until)
    return make_plan(members(session.graph), session.store)


def why(
    recipe: str | Path,
    stage: str,
    overrides: Sequence[str] = (),
    *,
    store: Path | None = None,
    plugins: Sequence[Path] = (),
) -> Explanation:
    """Why a stage such as `expert[count]` would run: what differs from the nearest stored artifact of its kind.

    Examples:
        >>> selma_core.why("shapes", "merge", ["stages.merge.use=ties"]).differences

    Returns:
        `status`, `nearest` (a manifest, None when nothing of the kind is stored), `differences` with `field`, `now`,
        `stored`, `hint`.

    Raises:
        UserError: the recipe is wrong, or it has no such stage.
    """
    from selma_core.graph.why import explain
    from selma_core.session import open_session

    session = open_session(recipe, overrides, store=store, plugins=plugins)
    return explain(session.graph[stage], session.graph, session.store)


def generate(
    prompt: str,
    *,
    model: str | None = None,
    adapters: Sequence[Path] = (),
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
    generator: str = "diffusers",
    options: Mapping[str, Any] | None = None,
    device: str = "auto",
    plugins: Sequence[Path] = (),
) -> Image:
    """Draws one RGB image.

    Examples:
        >>> selma_core.generate("two red circles", model="shapes_base", seed=3).save("circles.png")

    Args:
        model: registry name, folder, or `hub:owner/name@COMMIT`; None = the generator's own.
        adapters: LoRA files or folders of any form; several are applied side by side, unmerged.
        seed: of this image. steps, guidance: None = the generator's own.
        generator: its name; options: more of its options, as a recipe writes them.
        device: a torch device; `auto` = the GPU if there is one. plugins: single-file plugins.

    Raises:
        UserError: unknown generator, wrong option, missing model. ArtifactError: an adapter that cannot be read.
        StageError: no image came.
    """
    from selma_core.drawing import generate_image

    catalog = Catalog.discover(plugins)
    return generate_image(
        prompt,
        _given({"model": model, "steps": steps, "guidance": guidance}, options),
        catalog=catalog,
        registry=Registry(catalog.registry_sources()),
        generator=generator,
        adapters=adapters,
        seed=seed,
        device=device,
        origin=_ORIGIN,
    )


def evaluate(
    images: Path,
    benchmark: str,
    evaluators: Sequence[str] = (),
    *,
    judge: str | None = None,
    options: Sequence[str] = (),
    per_prompt: int | None = None,
    strict: bool = False,
    store: Path | None = None,
    plugins: Sequence[Path] = (),
    on_event: Callable[[Event], None] | None = None,
) -> Evaluation:
    """Scores a folder of images that SELMA did not make; what was observed before is reused.

    Examples:
        >>> found = selma_core.evaluate(Path("my_images"), "dsg1k", judge="openai", options=["judge.options.model=x"])
        >>> found.result["scores"]["dsg"]["mean"], found.coverage

    Args:
        images: the folder; a prompt's images are found by `metadata.jsonl` or by their names.
        benchmark: registry name, or the path of a file of prompts. evaluators: none = the benchmark's own.
        judge: chat model that answers. options: `rule=selma`, with several evaluators `dsg.rule=selma`.
        per_prompt: images that each prompt should have; None = what the benchmark says.
        strict: raise where an image is missing, before anything is judged.
        store: default `$SELMA_STORE`, else `./selma-store`. plugins: single-file plugins. on_event: gets every event.

    Returns:
        scores, and how many of the expected images were there. An evaluator that failed does not raise: see `ok`.

    Raises:
        UserError: an unknown name, a wrong option, images that belong to no prompt; with `strict` missing images.
    """
    from selma_core.evaluating import Wanted, evaluate_folder

    wanted = Wanted(
        images=images,
        benchmark=benchmark,
        evaluators=tuple(evaluators),
        judge=judge,
        overrides=tuple(options),
        per_prompt=per_prompt,
        strict=strict,
    )
    return evaluate_folder(wanted, Catalog.discover(plugins), store=store, on_event=on_event)


def merge(
    files: Sequence[Path],
    out: Path,
    *,
    strategy: str,
    weights: Sequence[float] | None = None,
    rank: int | None = None,
    options: Mapping[str, Any] | None = None,
    dtype: str = "float32",
    form: str = "diffusers",
    base: str | None = None,
    seed: int = 0,
    plugins: Sequence[Path] = (),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> MergedAdapter:
    """Merges LoRA files into one, layer by layer, without loading a base model.

    Examples:
        >>> selma_core.merge([a, b], Path("m.safetensors"), strategy="linear", weights=[0.7, 0.3]).norm_ratio

    Args:
        files: of diffusers, peft, kohya or ComfyUI, or folders of adapters. out: the file to write.
        strategy: its name. weights: one per file; None = 1/T each. rank: re-compress to it; None = exact.
        options: more of the strategy's options, as a recipe writes them. seed: of random masks.
        dtype: float32, float16 or bfloat16. form: `diffusers`, `kohya`, `comfyui` or `peft-dir` (a folder).
        base: id of the base model; None = what the files say. progress: gets (layers done, layers in all).

    Raises:
        UserError: unknown strategy, wrong option, files of different base models. ArtifactError: a broken file.
    """
    from selma_core.merge_adapters import merge_lora_files

    catalog = Catalog.discover(plugins)
    named = {"weights": None if weights is None else list(weights), "rank": rank}
    card = merge_lora_files(
        files,
        strategy,
        _given(named, options),
        out,
        catalog=catalog,
        registry=Registry(catalog.registry_sources()),
        base=base,
        seed=seed,
        dtype=dtype,
        form=form,
        progress=progress,
        origin=_ORIGIN,
    )
    return MergedAdapter(
        path=out.resolve(),
        base=card["base"],
        parents=tuple(card["parents"]),
        weights=tuple(card["weights"]),
        norm_ratio=card["norm_ratio"],
        retained=card["retained"],
        card=card,
    )


def _given(named: Mapping[str, Any], options: Mapping[str, Any] | None) -> dict[str, Any]:
    """The arguments that were given, and the options on top, as on the command line."""
    return {name: value for name, value in named.items() if value is not None} | dict(options or {})
