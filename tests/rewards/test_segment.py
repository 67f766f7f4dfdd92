"""The segment reward: strict replies, no chat history, formulas by hand, both readings."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selma_plugins.evaluation.rewards.formula import reward
from selma_plugins.evaluation.rewards.options import SegmentRewardOptions
from selma_plugins.evaluation.rewards.replies import read_rating, read_segments, read_tags
from selma_plugins.evaluation.rewards.segment import SegmentReward

from selma_core.data import Prompt
from selma_core.errors import UnknownNameError
from selma_core.options import Slot
from tests.rewards.kit import PROMPT, Chat, asked_about, items, rater, run

SCORES = {"dog": 3, "cat": 3, "grass": 2, "car": 1}


def tags(*names: str) -> Chat:
    return Chat("tagger", lambda stem, text: json.dumps({"tags": list(names)}))


def evaluator(**options: Any) -> SegmentReward:
    given = {"tagger": Slot("tagger"), "judge": Slot("judge")} | options
    return SegmentReward(SegmentRewardOptions(**given))


def value(tagger: Chat, judge: Chat, **options: Any) -> float | None:
    return run(evaluator(**options), items(), tagger=tagger, judge=judge)[1][0]


def test_the_reward_is_the_mean_of_centred_scores() -> None:
    assert value(tags("dog", "cat"), rater(SCORES)) == 0.5
    assert value(tags("car"), rater(SCORES)) == -0.5
    assert value(tags("dog", "cat", "grass", "car"), rater(SCORES)) == pytest.approx((9 - 8) / 8)


@given(st.lists(st.sampled_from([1, 2, 3]), min_size=1, max_size=9))
def test_the_formula_of_the_paper(scores: list[int]) -> None:
    things = [{"label": str(i), "score": score} for i, score in enumerate(scores)]
    n = len(scores)
    assert reward(things, 0, "precision") == pytest.approx((sum(scores) - 2 * n) / (2 * n))
    assert -0.5 <= reward(things, 3, "recall") <= reward(things, 0, "precision") <= 0.5


def test_finerewards_defect_4_no_history_is_carried_over() -> None:
    """The released conversation grows with every image; here each request is one message, and order is no matter."""
    prompts = [Prompt(id=f"p{i}", text=f"prompt {i}") for i in range(6)]
    images = items(prompts, k=2)

    def look(stem: str, text: str) -> str:
        return json.dumps({"tags": ["dog"] * (sum(map(ord, stem)) % 2) + ["car"]})

    def both(ordered: list[Any], batch: int) -> tuple[dict[str, Any], Chat]:
        judge = rater(SCORES)
        rows, values, _ = run(evaluator(batch=batch), ordered, tagger=Chat("t", look), judge=judge)
        return dict(zip((row.item_id for row in rows), values, strict=True)), judge

    straight, judge = both(images, 3)
    assert both(images[::-1], 1)[0] == straight
    assert len(set(straight.values())) == 2
    lengths = [len(request.messages[0].text) for request in judge.asked]
    assert max(lengths) - min(lengths) < 10, "requests do not grow"


def test_finerewards_defect_2_each_image_meets_its_own_prompt() -> None:
    """The released scorer sets image i of one prompt beside prompt i of the batch, and leaves the ninth out."""
    prompts = [Prompt(id=f"p{i}", text=f"scene p{i}") for i in range(3)]
    pairs: list[tuple[str, str]] = []

    def judge(stem: str, text: str) -> str:
        (thing,) = asked_about(text)["things"]
        (prompt,) = [one.id for one in prompts if one.text in text]
        pairs.append((prompt, thing))
        return json.dumps({"scores": {thing: 3 if thing.startswith(prompt) else 1}})

    seen = Chat("tagger", lambda stem, text: json.dumps({"tags": [stem]}))
    images = items(prompts, k=10)
    rows, values, _ = run(evaluator(batch=8), images, tagger=seen, judge=Chat("judge", judge))
    assert values == [0.5] * 30
    assert [row.item_id for row in rows] == [item.item_id for item in images]
    assert sorted(pairs) == sorted((item.prompt.id, item.path.stem) for item in images), "K calls a prompt"


@pytest.mark.parametrize(
    "reply",
    [
        '{"scores": {"dog": 3, "route 66": 1}}',
        '```json\n{"scores": {"dog": 3, "route 66": 1}}\n```',
        '{"scores": {"Dog": 10, "route 66": -4}}',
        '{"scores": {"dog": 3, "route 66": 1, "1.": 3, "cat 9": 3}}',
    ],
)
def test_finerewards_defect_5_no_digit_counts_but_a_score(reply: str) -> None:
    """The released code adds up every digit of the reply: 10 is 1, `route 66` is 12, list numbers count."""
    assert value(tags("dog", "route 66"), Chat("judge", lambda stem, text: reply)) == 0.0


@pytest.mark.parametrize(
    "reply",
    ["1. dog: 3\n2. cat: 3", "dog:3,cat:3", "I am certain: 3", "", "[3, 3]", '{"scores": [3, 3]}', '{"dog": 3', "33"],
)
def test_an_unreadable_reply_is_missing_and_no_number(reply: str) -> None:
    rows, values, context = run(evaluator(), items(), tagger=tags("dog", "cat"), judge=Chat("j", lambda *_: reply))
    assert values == [None]
    assert rows[0].atoms[0].status == "error"
    assert context.warnings == ["segment_reward: the replies on 1 of 1 images were unreadable"]


@given(st.text(max_size=60))
def test_a_reply_is_read_in_the_range_or_not_at_all(reply: str) -> None:
    for text in (reply, json.dumps({"scores": {"dog": reply}}), f'{{"scores": {{"dog": {reply}}}}}'):
        try:
            found = read_rating(text, ["dog", "cat"], recall=False)
        except ValueError:
            continue
        assert set(found.scores.values()) <= {1, 2, 3}


def test_a_thing_that_the_judge_leaves_out_is_unknown() -> None:
    assert read_rating('{"scores": {"dog": true, "car": "3"}}', ["dog", "cat", "car"], recall=False).scores == {
        "dog": 2,
        "cat": 2,
        "car": 2,
    }


def test_finerewards_defect_6_nothing_seen_is_0_and_flagged() -> None:
    """The released code counts commas: an empty list has one tag."""
    judge = rater(SCORES)
    rows, values, context = run(evaluator(), items(), tagger=tags(), judge=judge)
    assert values == [0.0]
    assert rows[0].atoms[0].data == {"things": [], "empty": True}
    assert context.warnings == ["segment_reward: nothing was seen in 1 of 1 images"]
    assert not judge.asked


def test_finerewards_defect_7_the_judge_is_greedy_and_asked_once_per_question() -> None:
    """At temperature 0.7 the same image scores differently; here a second look is read from what is known."""
    one, judge = evaluator(), rater(SCORES)
    first = run(one, items(k=4), tagger=tags("dog", "car"), judge=judge)[1]
    second = run(one, items(k=4), tagger=tags("dog", "car"), judge=judge)[1]
    assert first == second == [0.0] * 4
    assert len(judge.asked) == 1
    assert judge.asked[0].temperature == 0
    assert value(tags("dog"), noisy := rater(SCORES), temperature=0.7) == 0.5
    assert noisy.asked[0].temperature == 0.7


def test_missing_objects_can_count() -> None:
    """Precision does not see what is absent; with recall an absent object is a thing of the worst score."""
    judge = rater(SCORES, missing=["cat", "Cat"])
    assert value(tags("dog"), judge, recall=True) == pytest.approx((3 + 1 - 4) / 4)
    one = evaluator(recall=True)
    rows, _, _ = run(one, items(), tagger=tags("dog"), judge=judge)
    assert one.info.rules == ("recall", "precision")
    assert one.score(rows[0].atoms, None, "precision") == 0.5, "another rule asks nothing again"
    assert value(tags(), rater(SCORES, missing=["dog"]), recall=True) == -0.5
    assert value(tags("dog"), rater(SCORES), recall=True) is None, "a reply without its list is unreadable"
    with pytest.raises(UnknownNameError, match="recall"):
        evaluator().score(rows[0].atoms, None, "recall")


def segmenter(*segments: Any) -> Chat:
    return Chat("segmenter", lambda stem, text: json.dumps({"segments": list(segments)}))


def test_segments_are_judged_by_label_and_may_be_weighted_by_area() -> None:
    eyes = segmenter(
        {"label": "dog", "area": 0.3, "confidence": 1.0},
        {"label": "Dog", "area": 0.3, "confidence": 0.5},
        {"label": "car", "area": 0.2, "confidence": 1.0},
    )
    options: dict[str, Any] = {"reading": "segments", "tagger": Slot(), "segmenter": Slot("segmenter")}
    options |= {"categories": ["dog", "car", "tree"]}
    one = evaluator(**options)
    rows, values, _ = run(one, items(), segmenter=eyes, judge=rater(SCORES))
    assert values == [0.0]
    assert rows[0].atoms[0].data["things"][0] == {"label": "dog", "area": 0.6, "confidence": 1.0, "score": 3}
    assert one.score(rows[0].atoms, None, "area") == pytest.approx((0.6 - 0.2) / (2 * 0.8))
    assert json.loads(eyes.asked[0].messages[0].text.splitlines()[-1]) == ["dog", "car", "tree"]
    assert one.info.judge == "fake:segmenter + fake:judge"


def test_a_detector_looks_for_what_the_tagger_names() -> None:
    eyes = segmenter({"label": "dog", "area": 0.1, "confidence": 0.9})
    one = evaluator(reading="segments", segmenter=Slot("segmenter"), categories=["cat", "dog"])
    values = run(one, items(), tagger=tags("Dog", "Tree"), segmenter=eyes, judge=rater(SCORES))[1]
    assert values == [0.5]
    assert asked_about(eyes.asked[0].messages[0].text) == ["dog", "tree", "cat"]


def test_a_failed_call_is_missing_and_the_others_are_scored() -> None:
    def look(stem: str, text: str) -> str | None:
        return {"p-0": '{"tags": ["dog"]}', "p-1": None, "p-2": "a dog"}[stem]

    judge = rater(SCORES)
    rows, values, _ = run(evaluator(), items(k=3), tagger=Chat("t", look), judge=judge)
    assert values == [0.5, None, None]
    summary = evaluator().aggregate(rows, {"p": {"text": "", "groups": ["animals"]}}, "precision")
    assert summary.coverage == pytest.approx(1 / 3)
    assert summary.mean == 0.5
    assert summary.groups == {"animals": 0.5}
    assert asked_about(judge.asked[0].messages[0].text)["description"] == PROMPT.text


@pytest.mark.parametrize(
    ("read", "reply"),
    [
        (read_tags, '{"tags": "dog"}'),
        (read_tags, '{"tags": [1]}'),
        (read_tags, "dog, cat"),
        (read_segments, '{"segments": [{"area": 1, "confidence": 1}]}'),
        (read_segments, '{"segments": [{"label": "dog", "area": 7, "confidence": 1}]}'),
        (read_segments, '{"segments": [{"label": "dog", "area": 0.1}]}'),
        (read_segments, "[]"),
    ],
)
def test_what_is_seen_is_read_strictly(read: Any, reply: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read(reply)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"rule": "recall"}, "set recall: true"), ({"rule": "area"}, "set reading: segments")],
)
def test_rules_without_their_observations_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluator(**options)
    assert [name for name, _ in SegmentRewardOptions(judge=Slot("j")).needs()] == ["tagger"]
    assert [name for name, _ in SegmentRewardOptions(judge=Slot("j"), reading="segments").needs()] == ["segmenter"]
