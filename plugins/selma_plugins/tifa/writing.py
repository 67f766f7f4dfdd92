"""TIFA's questions for captions that no file knows: written by a chat model, then filtered by one.

Source: Hu et al. 2023, section 3. The instruction, the solved cases and the form of the lines are this project's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from selma_core.data import Prompt
from selma_core.protocols import ChatModel
from selma_core.seeds import derive_seed
from selma_plugins.evaluation.writing.asking import Failed, UnreadableError, Wanted, ask_all
from selma_plugins.evaluation.writing.few_shot import STOP, request_text
from selma_plugins.tifa.cases import CASES, INSTRUCTION
from selma_plugins.tifa.filtering import Verdict, judge_all
from selma_plugins.tifa.lines import Reply, Written, read_questions
from selma_plugins.vqa.groups import groups_of


def write_tifa(
    prompts: Sequence[Prompt], writer: ChatModel, checker: ChatModel, attempts: int, seed: int
) -> list[dict[str, Any]]:
    """A spec per caption, as `specs` has it, and `written_by`, `checked_by`, `complaints`, `dropped`, `unwritten`.

    `dropped` are the questions that the filter refused, each with its reason. Those about which the checker did not
    answer stay in `expected`: they lower the coverage.
    """
    captions = [" ".join(prompt.text.split()) for prompt in prompts]
    replies = ask_all(writer, [_wanted(caption, seed) for caption in captions], attempts)
    asked = [(caption, one) for caption, reply in zip(captions, replies, strict=True) for one in _questions(reply)]
    verdicts = iter(judge_all(asked, checker, attempts, seed))
    names = {"written_by": writer.identity, "checked_by": checker.identity}
    return [
        {"text": prompt.text, "groups": groups_of(prompt)} | _content(reply, verdicts) | names
        for prompt, reply in zip(prompts, replies, strict=True)
    ]


def _wanted(caption: str, seed: int) -> Wanted[Reply]:
    text = request_text(INSTRUCTION, CASES, caption)
    return Wanted(text=text, seed=derive_seed("tifa", seed, caption), read=_readable, stop=STOP)


def _readable(reply: str) -> Reply:
    found = read_questions(reply)
    if not found.questions:
        raise UnreadableError("no line of the questions could be read")
    return found


def _questions(reply: Reply | Failed) -> tuple[Written, ...]:
    return () if isinstance(reply, Failed) else reply.questions


def _content(reply: Reply | Failed, verdicts: Iterator[Verdict]) -> dict[str, Any]:
    if isinstance(reply, Failed):
        return {"questions": [], "unwritten": reply.reason}
    judged = [(attrs.asdict(one) | {"choices": list(one.choices)}, next(verdicts)) for one in reply.questions]
    kept = [one for one, verdict in judged if not verdict.reason]
    dropped = [one | {"reason": verdict.reason} for one, verdict in judged if verdict.reason]
    unknown = sum(verdict.unknown for _, verdict in judged)
    content: dict[str, Any] = {
        "questions": [{"id": f"{i:02d}"} | one for i, one in enumerate(kept)],
        "complaints": list(reply.complaints),
        "dropped": dropped,
    }
    if not kept:
        return content | {"unwritten": f"the filter dropped all {len(dropped)}: {dropped[0]['reason']}"}
    return content | {"expected": len(kept) + unknown}
