"""TIFA's sample as a benchmark, its released answers as a judge, and contexts for both."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from selma_plugins.tifa.evaluator import Tifa
from selma_plugins.tifa.options import TifaOptions

from selma_core.data import ChatReply, ChatRequest, Entry, ImageItem, ImagePart, ItemAtoms, Prompt
from selma_core.options import Slot
from selma_core.testing import FakeContext

DATA = Path(__file__).parents[1] / "data" / "tifa"
QUESTIONS = DATA / "sample_question_answers.json"
RELEASED: dict[str, Any] = json.loads((DATA / "sample_evaluation_result.json").read_text())
PROMPTS = [
    Prompt(id=key, text=next(iter(asked.values()))["caption"]) for key, asked in RELEASED["question_details"].items()
]


def entry_of(path: Path, name: str = "sample") -> Entry:
    """A question file as a benchmark."""
    groups = {"coco": "coco", "drawbench": "drawbench"}
    return Entry(section="benchmarks", name=name, provider="test", data={"groups": groups}, pin="0", path=path)


def images(prompts: Sequence[Prompt], k: int = 1) -> list[ImageItem]:
    """`k` images of each prompt."""
    return [
        ImageItem(item_id=f"{p.id}-{i}", prompt=p, path=Path(f"{p.id}-{i}.png"), sha256=f"{p.id}{i}", k=i)
        for p in prompts
        for i in range(k)
    ]


class Released:
    """Answers as the released judge did; the image's name says which caption it is of."""

    identity = "released"

    def __init__(self, answers: Mapping[tuple[str, str], str | None] | None = None) -> None:
        self._other = dict(answers or {})
        self.asked: list[ChatRequest] = []

    def reply(self, requests: Sequence[ChatRequest]) -> list[ChatReply]:
        self.asked += requests
        return [self._one(request) for request in requests]

    def _one(self, request: ChatRequest) -> ChatReply:
        image, text = request.messages[-1].parts[0], request.messages[-1].text
        assert isinstance(image, ImagePart)
        caption = image.path.stem.rsplit("-", 1)[0]
        question = text.partition("Question: ")[2].split(" Choices:")[0].split(" Options:")[0].split(" Answer:")[0]
        said = RELEASED["question_details"][caption][question]["free_form_vqa"]
        found = self._other.get((image.path.stem, question), said)
        return ChatReply(error="timed out") if found is None else ChatReply(text=found)


@attrs.define
class Always:
    """A sentence encoder to which every answer is nearest to one choice; keeps what it was asked."""

    choice: str
    asked: list[str] = attrs.field(factory=list)

    def nearest(self, answer: str, choices: Sequence[str]) -> str:
        self.asked.append(answer)
        assert self.choice in choices
        return self.choice


def context_of(workdir: Path, *entries: Entry, **models: Any) -> FakeContext:
    """A context over the sample and the given chat models, by name."""
    found = {(entry.section, entry.name): entry for entry in (entry_of(QUESTIONS), *entries)}
    components = {("chat_model", name): model for name, model in models.items()}
    return FakeContext(workdir=workdir, components=components, entries=found)


def tifa(**options: Any) -> Tifa:
    """The evaluator over the sample, asked by `judge`; without an encoder where none is named."""
    options = options if "embedder" in options else options | {"outside": "wrong"}
    return Tifa(TifaOptions(**{"benchmark": "sample", "judge": Slot("judge")} | options))


def evaluate(
    evaluator: Tifa, items: Sequence[ImageItem], context: FakeContext
) -> tuple[Mapping[str, Any], list[ItemAtoms]]:
    """Specs and rows, as the stage gets them."""
    specs = evaluator.prepare(list({item.prompt.id: item.prompt for item in items}.values()), context)
    return specs, list(evaluator.observe(items, specs, context))
