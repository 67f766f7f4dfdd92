"""The recipe of the how-to about written questions opens, as shown and with the questions frozen into a file."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from selma_core.session import open_session

QUESTIONS = (
    "item_id,text,proposition_id,dependency,category_broad,category_detailed,question_natural_language\n"
    "a,a cat,1,0,entity,whole,Is there a cat?\n"
)


def test_the_recipe_opens(root: Path, tmp_path: Path) -> None:
    page = (root / "docs/how-to/generate_questions.md").read_text()
    (body,) = re.findall(r"^```yaml\n# questions\.yaml\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    recipe = tmp_path / "questions.yaml"
    # the files it names are where the user starts the command
    recipe.write_text(body.replace("my_prompts.txt", str(tmp_path / "my_prompts.txt")))
    (tmp_path / "my_prompts.txt").write_text("a cat\na dog\n")
    (tmp_path / "questions.csv").write_text(QUESTIONS)
    shown = {node.id for node in open_session(recipe, store=tmp_path / "store").graph}
    assert shown == {"bench", "sample[base]", "sample[sd2]", "score[base]", "score[sd2]"}
    command = page.split("    selma run questions.yaml -o ")[1].split("\n")[0]
    found = [word.replace("./", f"{tmp_path}/") for word in shlex.split(command) if word != "-o"]
    assert len(found) == 4
    options = open_session(recipe, found, store=tmp_path / "store").recipe.data["stages"]["score"]["options"]
    assert options["benchmark"] == str(tmp_path / "questions.csv")
    assert options["writer"]["use"] == ""
