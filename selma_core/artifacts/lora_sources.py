"""The files that an adapter is made of: one safetensors file, or PEFT folders, one per component."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs

from selma_core.artifacts.lora_config import (
    CONFIG_FILE,
    HEADER_KEY,
    WEIGHTS,
    LoraSettings,
    folder_settings,
    header_settings,
)
from selma_core.artifacts.lora_keys import COMPONENTS, Form, TensorName, parse_name
from selma_core.artifacts.lora_present import missing_line
from selma_core.artifacts.tensor_reader import TensorReader
from selma_core.errors import ArtifactError

PEFT_WEIGHTS = "adapter_model.safetensors"
_WRAPPER = "base_model.model."


@attrs.frozen
class LoraSource:
    """One file of an adapter.

    Attributes:
        tensors: its reader. settings: what scales its layers. names: tensor -> what it stands for.
        form: of its names (`native` where nothing says more). peft: whether it is of a PEFT folder.
    """

    tensors: TensorReader
    settings: LoraSettings
    names: dict[str, TensorName]
    form: Form
    peft: bool


def open_sources(path: Path) -> list[LoraSource]:
    """The files of an adapter: a LoRA file, an adapter folder, a PEFT folder, or a folder of PEFT folders.

    Raises:
        ArtifactError: missing files (those that are there are named), broken ones, other formats than LoRA, names of
            several forms in one file.
    """
    return [_open(file, config, component) for file, config, component in _files(path)]


def _files(path: Path) -> Iterator[tuple[Path, Path | None, str | None]]:
    """File, its `adapter_config.json`, and its component where the folder's name says it."""
    beside = path.with_name(CONFIG_FILE).is_file() and not path.with_name(WEIGHTS).is_file()
    if path.name == PEFT_WEIGHTS and beside:
        path = path.parent
    if not path.is_dir():
        yield path, None, None
        return
    if (path / CONFIG_FILE).is_file() and not (path / WEIGHTS).is_file():
        # A folder named `text_encoder_2`, as PEFT folders of one pipeline are, says what the tensors' names do not.
        folder = path.resolve().name
        yield path / PEFT_WEIGHTS, path / CONFIG_FILE, folder if folder in COMPONENTS else None
        return
    parts = [name for name in COMPONENTS if (path / name / CONFIG_FILE).is_file()]
    if not parts or (path / WEIGHTS).is_file():
        yield path / WEIGHTS, None, None
    for name in parts if not (path / WEIGHTS).is_file() else ():
        yield path / name / PEFT_WEIGHTS, path / name / CONFIG_FILE, name


def _open(file: Path, config: Path | None, component: str | None) -> LoraSource:
    if config is not None and not file.is_file():
        raise ArtifactError(f"{file}: no such file; a pickled adapter_model.bin is never loaded")
    if not file.is_file():
        raise ArtifactError(missing_line(file))
    tensors = TensorReader(file)
    names: dict[str, TensorName] = {}
    for name in tensors.entries:
        known = name if component is None else f"{component}.{name.removeprefix(_WRAPPER)}"
        names[name] = parse_name(known, str(file))
    settings = header_settings(tensors.metadata, file) if config is None else folder_settings(config)
    _check_scales(file, names, settings, peft=config is not None)
    return LoraSource(tensors, settings, names, _form(file, names), config is not None)


def _form(file: Path, names: dict[str, TensorName]) -> Form:
    seen: dict[Form, str] = {}
    for name, found in names.items():
        if found.form is not None:
            seen.setdefault(found.form, name)
    if len(seen) > 1:
        (one, first), (two, second) = list(seen.items())[:2]
        raise ArtifactError(
            f"{file}: mixes forms of names: tensor '{first}' is {one}, tensor '{second}' is {two}; save it in one form"
        )
    return next(iter(seen), "native")


def _check_scales(file: Path, names: dict[str, TensorName], settings: LoraSettings, *, peft: bool) -> None:
    """Refuses files whose scale is said twice or not at all, since programs differ in what they make of them."""
    alpha = next((name for name, found in names.items() if found.part == "alpha"), None)
    if alpha is not None and settings.fields:
        where = CONFIG_FILE if peft else f"header field '{HEADER_KEY}'"
        raise ArtifactError(f"{file}: tensor '{alpha}' and the {where} both give a scale; remove one of them")
    wrapped = next((name for name in names if name.startswith(_WRAPPER)), None)
    if wrapped is not None and alpha is None and not settings.fields:
        raise ArtifactError(
            f"{file}: tensor '{wrapped}' is of a PEFT folder, whose {CONFIG_FILE} (it holds the scale) is not beside it"
        )
