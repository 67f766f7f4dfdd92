"""DSG's questions in three calls: tuples of a prompt, one question for each, and which depends on which.

Source: Cho et al. 2024, section 3; j-min/DSG. The instructions and the solved cases are this project's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from selma_core.data import Prompt
from selma_core.protocols import ChatModel
from selma_core.seeds import derive_seed
from selma_plugins.evaluation.writing.asking import Failed, UnreadableError, Wanted, ask_all
from selma_plugins.evaluation.writing.dsg_cases import CASES, DEPENDENCIES, QUESTIONS, TUPLES, Step
from selma_plugins.evaluation.writing.few_shot import STOP, request_text
from selma_plugins.evaluation.writing.lines import Lines, category_of, read_lines, read_parents
from selma_plugins.vqa.groups import groups_of


def write_dsg(prompts: Sequence[Prompt], chat: ChatModel, attempts: int, seed: int) -> list[dict[str, Any]]:
    """A spec per prompt: `{text, groups, questions, written_by, complaints}`; `unwritten` = why there are no questions.

    A question is `{id, question, dependency, category_broad, category_detailed, tuple}`. Requests of one step go to the
    model together; prompts whose tuples could not be had are not asked about further.
    """
    tuples = ask_all(chat, [_wanted(TUPLES, prompt, seed, None) for prompt in prompts], attempts)
    good = [(prompt, found) for prompt, found in zip(prompts, tuples, strict=True) if isinstance(found, Lines)]
    both = [_wanted(step, prompt, seed, found) for step in (QUESTIONS, DEPENDENCIES) for prompt, found in good]
    answers = ask_all(chat, both, attempts)
    rest = iter(zip(answers[: len(good)], answers[len(good) :], strict=True))
    return [
        _spec(prompt, chat.identity, found, *(next(rest) if isinstance(found, Lines) else (found, found)))
        for prompt, found in zip(prompts, tuples, strict=True)
    ]


def _wanted(step: Step, prompt: Prompt, seed: int, tuples: Lines | None) -> Wanted[Lines]:
    text = " ".join(prompt.text.split())
    given = text if tuples is None else "\n".join([text, *(f"{key} | {one}" for key, one in tuples.fields.items())])
    return Wanted(
        text=request_text(step.instruction, [step.case(case) for case in CASES], given),
        # by the text, so that one prompt gets the same questions wherever it stands
        seed=derive_seed("dsg", step.name, seed, text),
        read=lambda reply: _complete(read_lines(reply), step, None if tuples is None else tuples.fields),
        stop=STOP,
    )


def _complete(found: Lines, step: Step, ids: Mapping[str, str] | None) -> Lines:
    absent = [key for key in ids or () if key not in found.fields]
    if absent:
        raise UnreadableError(f"the {step.name} lack one for tuple {absent[0]}")
    if not found.fields:
        raise UnreadableError(f"no line of the {step.name} could be read")
    return found


def _spec(
    prompt: Prompt, writer: str, tuples: Lines | Failed, questions: Lines | Failed, parents: Lines | Failed
) -> dict[str, Any]:
    spec: dict[str, Any] = {"text": prompt.text, "groups": groups_of(prompt), "questions": [], "written_by": writer}
    if isinstance(tuples, Failed) or isinstance(questions, Failed) or isinstance(parents, Failed):
        failed = next(one for one in (tuples, questions, parents) if isinstance(one, Failed))
        return spec | {"unwritten": failed.reason}
    fields, dropped = read_parents(parents.fields, tuples.fields)
    spec["questions"] = [_question(key, one, questions.fields[key], fields[key]) for key, one in tuples.fields.items()]
    spec["complaints"] = [*tuples.complaints, *questions.complaints, *parents.complaints, *dropped]
    return spec


def _question(key: str, tuple_: str, question: str, dependency: str) -> dict[str, str]:
    broad, detailed = category_of(tuple_)
    return {
        "id": key,
        "question": question,
        "dependency": dependency,
        "category_broad": broad,
        "category_detailed": detailed,
        "tuple": tuple_,
    }
