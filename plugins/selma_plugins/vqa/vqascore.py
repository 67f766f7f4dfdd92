"""VQAScore: the probability that a vision-language model says yes to "does this show <prompt>?".

Source: Lin et al. 2024, arXiv 2404.01291; linzhiqiu/t2v_metrics. Its back ends differ in wording and formula, so their
numbers are not comparable; the rule's name holds both (`qwen.p_yes`). What is not reproduced:

- CLIP-FlanT5 in v3.0 takes the mean cross-entropy over the label's tokens, thus with T5's end token the geometric mean
  of two probabilities. A judge's first token gives the first of these two.
- The GPT-4o class turns a missing `yes` into 1 - P(no), and two failed calls into 0. Here both are missing data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from selma_core.averages import average_over_prompts
from selma_core.data import Atom, ChatRequest, ImageItem, ItemAtoms, Message, MetricInfo, Prompt, Summary
from selma_core.errors import UnknownNameError, did_you_mean
from selma_core.protocols import ChatModel, Context
from selma_plugins.evaluation.asking import Asked, ask
from selma_plugins.vqa.groups import groups_of
from selma_plugins.vqa.options import VqaScoreOptions
from selma_plugins.vqa.probabilities import Probabilities

TEMPLATES: dict[str, tuple[str, str, str]] = {
    "clip_flant5": ('Does this figure show "{text}"? Please answer yes or no.', "yes", "no"),
    "qwen": ('Does this figure show "{text}"? Please answer Yes or No.', "Yes", "No"),
    "geneval2": ('Does this image show "{text}"? Answer the question with Yes or No.', "Yes", "No"),
}
"""Name -> the question, the word for yes, the word for no."""

FORMULAS = ("p_yes", "normalised")
KEY = "score"


class VqaScore:
    """One atom per image. A spec is `{text, question, template, groups}`."""

    def __init__(self, options: VqaScoreOptions) -> None:
        self._options = options
        self._judge = options.judge.use

    @property
    def info(self) -> MetricInfo:
        """`judge` is the plugin's name until `observe` has met the judge, then its identity."""
        formulas = sorted(FORMULAS, key=lambda name: name != self._options.formula)
        rules = tuple(f"{self._options.template}.{name}" for name in formulas)
        scale = "p_yes: P(yes) over all first tokens; normalised: P(yes) / (P(yes) + P(no))"
        return MetricInfo(name="vqascore", version="1", rules=rules, judge=self._judge, scale=scale)

    def prepare(self, prompts: Sequence[Prompt], context: Context) -> dict[str, Any]:
        """prompt id -> spec."""
        template = self._options.template
        question = TEMPLATES[template][0]
        return {
            prompt.id: {
                "text": prompt.text,
                "question": question.replace("{text}", prompt.text),
                "template": template,
                "groups": groups_of(prompt),
            }
            for prompt in prompts
        }

    def observe(self, items: Sequence[ImageItem], specs: Mapping[str, Any], context: Context) -> Iterator[ItemAtoms]:
        """P of yes and no for each image.

        Raises:
            StageError: the judge gives no log-probabilities.
        """
        judge: ChatModel = context.component("chat_model", self._options.judge)
        self._judge = judge.identity
        read = Probabilities("vqascore", judge.identity)
        _, yes, no = TEMPLATES[self._options.template]

        def questions(item: ImageItem) -> list[Asked]:
            text = specs[item.prompt.id]["question"]
            turn = Message.user(item.path, text)
            request = ChatRequest(messages=(turn,), max_tokens=1, choices=(yes, no))
            return [Asked(key=KEY, request=request, data={"question": text})]

        yield from ask(
            judge, items, questions, lambda asked, reply: read.atom(asked, reply, (yes,)), self._options.batch
        )

    def score(self, atoms: Sequence[Atom], spec: Any, rule: str) -> float | None:
        """The value of one image in [0, 1]."""
        return _value(atoms, spec, rule)

    def aggregate(self, rows: Sequence[ItemAtoms], specs: Mapping[str, Any], rule: str) -> Summary:
        """The mean over prompts."""
        return average_over_prompts(
            rows,
            specs,
            lambda row, spec: _value(row.atoms, spec, rule),
            info=self.info,
            rule=rule,
            judge=self._options.judge.use,
        )


def _value(atoms: Sequence[Atom], spec: Mapping[str, Any], rule: str) -> float | None:
    known = tuple(f"{spec['template']}.{name}" for name in FORMULAS)
    if rule not in known:
        raise UnknownNameError(f"vqascore asked by template has no rule '{rule}' here: {did_you_mean(rule, known)}")
    atom = next((atom for atom in atoms if atom.key == KEY and atom.status == "ok"), None)
    if atom is None or atom.value is None:
        return None
    if rule == known[0]:
        return atom.value
    _, yes, no = TEMPLATES[spec["template"]]
    return normalised(atom.data["p"][yes], atom.data["p"][no])


def normalised(yes: float, no: float) -> float | None:
    """P(yes) / (P(yes) + P(no)); None where both are 0."""
    return yes / (yes + no) if yes + no > 0 else None
