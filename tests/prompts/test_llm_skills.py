"""In-context expansion."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from selma_plugins.prompts.grammar import Grammar
from selma_plugins.prompts.llm_skills import LlmSkills
from selma_plugins.prompts.options import GrammarOptions, LlmSkillsOptions
from selma_plugins.prompts.rouge import rouge_l

from selma_core.data import Prompt, PromptBatch, Rejected
from selma_core.errors import ConfigError, StageError, UnknownNameError
from selma_core.options import Slot
from selma_core.protocols import PromptJob, PromptSource

CSV = "item_id,text,proposition_id,dependency,category_broad,category_detailed,tuple,question_natural_language\n"


def expand(context: Any, *done: PromptBatch, **options: Any) -> list[PromptBatch]:
    values = {"skill": "odd", "n": 30, "ask": 5, "requests": 3}
    source = LlmSkills(LlmSkillsOptions(**(values | options)))
    assert isinstance(source, PromptSource)
    return list(source.prompts(PromptJob(context=context, done=done)))


def accepted(batches: list[PromptBatch]) -> list[Prompt]:
    return list(chain.from_iterable(batch.accepted for batch in batches))


def rejected(batches: list[PromptBatch]) -> list[Rejected]:
    return list(chain.from_iterable(batch.rejected for batch in batches))


def reasons(batches: list[PromptBatch]) -> Counter[str]:
    return Counter(found.reason for found in rejected(batches))


def test_defect_07_exactly_n(context: Any, writer: Any) -> None:
    context.chat = writer()
    for n in (1, 7, 30):
        batches = expand(context, n=n)
        assert len(accepted(batches)) == n
        assert [p.id for p in accepted(batches)] == [f"odd-{i:05d}" for i in range(n)]


def test_defect_07_the_released_overshoot_is_there_on_request(context: Any, writer: Any) -> None:
    context.chat = writer()
    found = expand(context, n=7, trim=False)
    assert len(found) == 1
    assert len(accepted(found)) > 7
    assert accepted(expand(context, n=7)) == accepted(found)[:7]


@pytest.mark.parametrize("stored", [0, 1, 2, 3])
def test_defect_07_kill_and_resume_equals_an_uninterrupted_run(context: Any, writer: Any, stored: int) -> None:
    context.chat = writer()
    whole = expand(context, n=50, rouge_max=0.5)
    assert len(whole) >= 4
    assert reasons(whole[:3])["rouge"] > 0
    context.chat = resumed = writer()
    assert whole[:stored] + expand(context, *whole[:stored], n=50, rouge_max=0.5) == whole
    assert len(resumed.requests) == 3 * (len(whole) - stored)


def test_a_finished_run_asks_nothing(context: Any, writer: Any) -> None:
    context.chat = writer()
    whole = expand(context)
    context.chat = idle = writer()
    assert expand(context, *whole) == []
    assert idle.requests == []


def test_the_seed_decides(context: Any, writer: Any) -> None:
    context.chat = writer()
    first, again = expand(context), expand(context)
    context.seed = 1
    assert first == again
    assert accepted(first) != accepted(expand(context))


def test_no_kept_prompt_is_near_another_or_a_seed(context: Any, writer: Any) -> None:
    context.chat = writer()
    found = expand(context, n=60, rouge_max=0.6)
    texts = [p.text for p in accepted(found)] + list(context.entries["skills", "odd"].data["seeds"])
    assert max(rouge_l(a, b) for i, a in enumerate(texts) for b in texts[:i]) <= 0.6
    assert reasons(found)["rouge"] > 0


def test_every_rejection_has_its_reason(context: Any, says: Any, tmp_path: Path) -> None:
    (tmp_path / "bench.csv").write_text(CSV + "b_1,a purple train at a station,1,0,entity,whole,e,Is there a train?\n")
    context.add("benchmarks", "bench", {"file": "bench.csv"}, tmp_path)
    reply = [
        "a green star", "A green, star!", "a cup on a fox", "one two three four five six seven eight nine",
        "a purple train at the station", "!!!", "a bell in the river bed", "a yellow boat",
    ]  # fmt: skip
    context.chat = says("\n".join(f"{i}. {line}" for i, line in enumerate(reply, 4)))
    (batch,) = expand(context, n=2, ask=8, requests=1, decontaminate=["bench"])
    assert [p.text for p in batch.accepted] == ["a green star", "a yellow boat"]
    assert [(r.text, r.reason) for r in batch.rejected] == [
        ("A green, star!", "duplicate"),
        ("a cup on a fox", "duplicate"),
        ("one two three four five six seven eight nine", "too_long"),
        ("a purple train at the station", "benchmark"),
        ("!!!", "empty"),
        ("a bell in the river bed", "rouge"),
    ]
    assert "a purple train at a station" in batch.rejected[3].detail
    assert context.moves == [(2, 2, "rejected: duplicate 2, too_long 1, benchmark 1, empty 1, rouge 1")]


def test_what_comes_after_the_last_wanted_is_counted_too(context: Any, says: Any) -> None:
    context.chat = says("4. a green star\n5. a yellow boat\n6. some bread")
    (batch,) = expand(context, n=1, requests=1)
    assert [(r.text, r.reason) for r in batch.rejected] == [("a yellow boat", "surplus"), ("some bread", "surplus")]


def test_the_benchmark_limit_itself_passes(context: Any, says: Any, tmp_path: Path) -> None:
    (tmp_path / "bench.csv").write_text(CSV + "b_1,a b c d e,1,0,entity,whole,e,?\n")
    context.add("benchmarks", "bench", {}, tmp_path / "bench.csv")
    context.chat = says("4. a b c d x\n5. a b c d e f")
    (batch,) = expand(context, n=1, requests=1, decontaminate=["bench"], rouge_max=1.0)
    assert [p.text for p in batch.accepted] == ["a b c d x"]
    with pytest.raises(UnknownNameError):
        expand(context, decontaminate=["none"])


def test_stays_within_the_words_of_a_closed_world(context: Any, says: Any) -> None:
    context.components["grammar"] = Grammar(GrammarOptions())
    context.chat = says("4. a red circle\n5. a red elephant in a house\n6. two blue stars")
    (batch,) = expand(context, n=2, requests=1, within=Slot("grammar"))
    assert [p.text for p in batch.accepted] == ["a red circle", "two blue stars"]
    assert batch.rejected == (Rejected(text="a red elephant in a house", reason="vocabulary", detail="elephant house"),)


def test_within_needs_a_source_that_knows_its_bounds(context: Any, writer: Any) -> None:
    context.chat = writer()
    context.components["other"] = LlmSkills(LlmSkillsOptions(skill="odd"))
    with pytest.raises(ConfigError, match="within: prompt source 'other'"):
        expand(context, within=Slot("other"))


def test_gives_up_with_one_line(context: Any, says: Any) -> None:
    context.chat = says("4. a green star\n5. a cup on a fox")
    with pytest.raises(StageError) as caught:
        expand(context, n=10, give_up=9)
    line = str(caught.value)
    assert "9 requests in a row gave no new prompt for skill 'odd' (1 of 10; rejected: duplicate" in line
    assert "\n" not in line


def test_a_failed_request_is_counted_and_said_and_the_others_stay(context: Any, writer: Any) -> None:
    context.chat = writer(broken=lambda call: call % 3 == 1)
    found = expand(context, n=20)
    assert len(accepted(found)) == 20
    lost = [r for r in rejected(found) if r.reason == "no_reply"]
    assert len(lost) == len(found) == len(context.warnings)
    assert lost[0].detail == "the line is dead"


def test_when_nothing_is_answered_the_round_is_asked_again_later(context: Any, writer: Any) -> None:
    context.chat = writer()
    whole = expand(context, n=40)
    context.chat = writer(broken=lambda call: call >= 6)
    stored: list[PromptBatch] = []
    source = LlmSkills(LlmSkillsOptions(skill="odd", n=40, ask=5, requests=3))

    def run() -> None:
        for batch in source.prompts(PromptJob(context=context)):
            stored.append(batch)

    with pytest.raises(StageError, match="no request was answered; the line is dead"):
        run()
    assert stored == whole[:2]
    context.chat = writer()
    assert stored + expand(context, *stored, n=40) == whole


def test_demonstrations_come_from_the_chosen_pool(context: Any, writer: Any) -> None:
    seeds = set(context.entries["skills", "odd"].data["seeds"])

    def shown(pool: str) -> set[str]:
        context.chat = chat = writer()
        expand(context, n=40, demo_pool=pool)
        lines = [line for request in chat.requests for line in request.messages[0].text.split("\n")]
        return {line[3:] for line in lines if line[:3] in ("1. ", "2. ", "3. ")}

    assert shown("seeds") == seeds
    assert len(shown("seeds+accepted") - seeds) > 5


def test_the_request_breaks_off_where_the_reply_goes_on(context: Any, writer: Any) -> None:
    context.chat = writer()
    expand(context, n=1, temperature=0.6, max_tokens=77)
    request = context.chat.requests[0]
    text = request.messages[0].text
    assert text.startswith("Continue this list with 5 more: captions of odd things.")
    assert "- Be odd." in text
    assert "- At most 8 words each." in text
    assert text.endswith("\n4.")
    assert (request.temperature, request.max_tokens) == (0.6, 77)
    expand(context, n=1, request="list", demos=2)
    text = context.chat.requests[-1].messages[0].text
    assert text.startswith("A list of captions of odd things:\n\n1. ")
    assert text.endswith("\n3.")
    assert request.stop == ()
    assert context.chat.requests[-1].stop == ("\n8.", "\n\n")
    assert "Rules" not in text


def test_no_more_than_asked_and_no_cut_end_is_taken(context: Any, says: Any) -> None:
    context.chat = says("4. green star\n5. yellow boat\n6. some bread\n7. old lam")
    source = LlmSkills(LlmSkillsOptions(skill="odd", n=9, ask=2, requests=1))
    first = next(iter(source.prompts(PromptJob(context=context))))
    assert [p.text for p in first.accepted] == ["green star", "yellow boat"]
    context.chat = says("4. green star\n5. yellow boa", truncated=True)
    first = next(iter(source.prompts(PromptJob(context=context))))
    assert [p.text for p in first.accepted] == ["green star"]


def test_the_released_settings(context: Any, says: Any) -> None:
    context.chat = says("4) lost\n4. one two three four five six seven eight nine ten\n6. lost too")
    source = LlmSkills(LlmSkillsOptions(skill="odd", parser="released", word_limit=False, trim=False, n=1))
    (batch,) = source.prompts(PromptJob(context=context))
    assert [p.text for p in batch.accepted] == ["one two three four five six seven eight nine ten"]
    assert reasons([batch]) == {"duplicate": 4}


def test_the_label_may_differ_from_the_entrys_name(context: Any, says: Any) -> None:
    context.add("skills", "odd_too", {**context.entries["skills", "odd"].data, "skill": "odd"})
    context.chat = says("4. a green star")
    ((prompt,),) = (batch.accepted for batch in expand(context, skill="odd_too", n=1, requests=1))
    assert prompt == Prompt(id="odd-00000", text="a green star", skill="odd", meta={"request": 0})


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"seeds": ["one"]}, "has 1 seeds; a request shows 3 examples"),
        ({"seeds": "one"}, "'seeds' must be a list of texts"),
        ({"rules": None}, "'rules' must be a list of texts"),
        ({"max_words": "8"}, "'max_words' must be a whole number"),
        ({"description": 3}, "'description' must be a text"),
        ({"flip": "no"}, "'flip' must be true or false"),
    ],
)
def test_a_bad_skill_entry_is_one_line(context: Any, writer: Any, change: dict[str, Any], line: str) -> None:
    context.add("skills", "odd", {**context.entries["skills", "odd"].data, **change})
    context.chat = writer()
    with pytest.raises(ConfigError, match=line):
        expand(context)
