"""The forms of a table: golden texts, bold only where it is earned, nothing lost on the way to other programs."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selma_core.errors import MissingExtraError, UnknownNameError, UserError
from selma_core.export import ResultTable, Row, table_rows
from selma_core.export.latex import escape_latex
from selma_core.export.markdown import escape_markdown
from tests.export.conftest import compared, score

MARKDOWN = """\
| variant | metric | mean | 95 % interval | difference to base | 95 % interval | p (Holm) | prompts | images | coverage | judge | rule |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |
| base | dsg | 40.0 | 38.0 to 42.0 | - | - | - | 100 | 200 | 100.0 % | judge_1 | official |
| merge=ties_1 | dsg | 61.3 | 59.3 to 63.3 | +21.2 | +20.2 to +22.2 | \\< 0.001 | 100 | 199 of 200 | 99.5 % | judge_1 | official |
| svd | dsg | 55.0 | 53.0 to 57.0 | +0.0 | -1.0 to +1.0 | 0.500 | 100 | 200 | 100.0 % | judge_1 | official |

Run R1. Intervals are bootstrap intervals over prompts; differences are paired by prompt. Holm's correction is for the run's 2 comparisons.
"""  # noqa: E501

LATEX = r"""% needs \usepackage{booktabs}
% Bold: the best mean of a metric, only where it is better than base with p (Holm) < 0.05.
\begin{table}
  \centering
  \caption{merges. Run R1. Intervals are bootstrap intervals over prompts; differences are paired by prompt. Holm's correction is for the run's 2 comparisons. Bold: the best mean of a metric, only where it is better than base with p (Holm) \textless{} 0.05.}
  \begin{tabular}{llrrrrrrrrll}
    \toprule
    variant & metric & mean & 95 \% interval & difference to base & 95 \% interval & p (Holm) & prompts & images & coverage & judge & rule \\
    \midrule
    base & dsg & 40.0 & 38.0 to 42.0 & -- & -- & -- & 100 & 200 & 100.0 \% & judge\_1 & official \\
    merge=ties\_1 & dsg & \textbf{61.3} & 59.3 to 63.3 & $+$21.2 & $+$20.2 to $+$22.2 & \textless{} 0.001 & 100 & 199 of 200 & 99.5 \% & judge\_1 & official \\
    svd & dsg & 55.0 & 53.0 to 57.0 & $+$0.0 & $-$1.0 to $+$1.0 & 0.500 & 100 & 200 & 100.0 \% & judge\_1 & official \\
    \bottomrule
  \end{tabular}
\end{table}
"""  # noqa: E501

CLAIMS = """\
| claim | verdict | metric | comparison | difference | 95 % interval | p (Holm) | margin | prompts | runs |
| --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |
| merging \\| averaging (Table 2) | supported | dsg | merged - base | +1.22 | +0.22 to +2.22 | 0.010 | 1.00 | 100 | 3 |
|  |  |  | merged - joint | -0.50 | -1.50 to +0.50 | 0.400 | 1.00 | 100 | 3 |
"""


def table(result: dict[str, Any], **more: Any) -> ResultTable:
    rows, family = table_rows(result), len(result["comparisons"])
    return ResultTable(name="merges", run="R1", baseline="base", rows=rows, family=family, **more)


def test_markdown(result: dict[str, Any]) -> None:
    assert table(result).render("markdown") == MARKDOWN


def test_latex(result: dict[str, Any]) -> None:
    assert table(result).render("latex") == LATEX


def test_claims_are_a_second_table(result: dict[str, Any]) -> None:
    rows = [compared("merged", 1.22, 0.01, margin=1.0, runs=3), compared("merged", -0.5, 0.4, margin=1.0, runs=3)]
    rows[1]["baseline"] = "joint"
    claim = {"claim": "merging | averaging", "source": "Table 2", "metric": "dsg", "verdict": "supported"}
    made = table(result, claims=({**claim, "comparisons": rows},))
    assert made.render("markdown") == f"{MARKDOWN}\n{CLAIMS}"
    assert made.render("latex").count(r"\begin{tabular}") == 2
    assert json.loads(made.render("json"))["claims"][0]["verdict"] == "supported"


def test_the_best_is_bold_only_when_it_is_significantly_better(result: dict[str, Any]) -> None:
    result["comparisons"][0]["p_holm"] = 0.05
    text = table(result).render("latex")
    assert r"\textbf" not in text
    assert "Bold" not in text.partition(r"\begin{table}")[2]
    # of a metric that should be low, the lowest
    for row in result["comparisons"]:
        row["higher_is_better"], row["p_holm"] = False, 0.01
    result["scores"]["svd"]["dsg"] = score(30.0)
    result["comparisons"][1]["difference"] = -10.0
    assert re.findall(r"textbf\{([^}]*)\}", table(result).render("latex")) == ["30.0"]


def test_training_seeds_and_missing_data_are_shown(result: dict[str, Any]) -> None:
    result["scores"]["svd"]["dsg"] = score(None, runs=3)
    lines = table(result).render("markdown").splitlines()
    assert "| coverage | runs | judge |" in lines[0]
    assert "| svd | dsg | - | - |" in lines[4]
    assert "| 100.0 % | 3 | judge_1 |" in lines[4]
    assert "| 100.0 % | - | judge_1 |" in lines[2]


def test_a_metric_and_a_baseline_can_be_chosen(result: dict[str, Any]) -> None:
    result["scores"]["svd"]["clip"] = score(0.3, judge="")
    result["comparisons"].append({**result["comparisons"][0], "baseline": "svd", "difference": 6.26})
    (row,) = table_rows(result, metrics=["clip"])
    assert (row.variant, row.metric, row.difference) == ("svd", "clip", None)
    by_variant = {row.variant: row for row in table_rows(result, metrics=["dsg"], baseline="svd")}
    assert (by_variant["merge=ties_1"].baseline, by_variant["merge=ties_1"].difference) == ("svd", 6.26)
    assert by_variant["base"].baseline == ""
    with pytest.raises(UnknownNameError, match="did you mean 'clip'"):
        table_rows(result, metrics=["clipp"])
    with pytest.raises(UnknownNameError, match="nothing was compared with 'bas'; did you mean 'base'"):
        table_rows(result, baseline="bas")


def parsed(text: str, kind: str) -> Any:
    if text == "" and kind != "str":
        return None
    return {"str": str, "int": int, "float": float, "bool": "True".__eq__}[kind](text)


def test_csv_and_parquet_lose_nothing(result: dict[str, Any], tmp_path: Path) -> None:
    result["scores"]["svd"]["dsg"] = score(1 / 3, runs=3)
    result["scores"]['odd, "name"\n'] = {"dsg": score(None)}
    made = table(result)
    made = attrs.evolve(made, rows=(*made.rows, attrs.evolve(made.rows[0], group="count", mean=0.1 + 0.2)))
    made.write(tmp_path / "t.csv")
    kinds = {field.name: str(field.type).partition(" ")[0] for field in attrs.fields(Row)}
    with (tmp_path / "t.csv").open(newline="") as file:
        read = [Row(**{key: parsed(text, kinds[key]) for key, text in row.items()}) for row in csv.DictReader(file)]
    assert tuple(read) == made.rows
    parquet = pytest.importorskip("pyarrow.parquet")
    made.write(tmp_path / "t.parquet")
    assert tuple(Row(**row) for row in parquet.read_table(tmp_path / "t.parquet").to_pylist()) == made.rows


def test_parquet_without_its_package(result: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'selma\[parquet\]'"):
        table(result).write(tmp_path / "t.parquet")
    assert not (tmp_path / "t.parquet").exists()


def test_the_suffix_says_the_form(result: dict[str, Any], tmp_path: Path) -> None:
    table(result).write(tmp_path / "new" / "t.tex")
    assert (tmp_path / "new" / "t.tex").read_text() == LATEX
    with pytest.raises(UserError, match=r"t\.doc: no form has this suffix"):
        table(result).write(tmp_path / "t.doc")
    with pytest.raises(UserError, match="did you mean 'markdown'"):
        table(result).render("markdwn")


_NAMED = {"textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^"}
_NAMED |= {"textless": "<", "textgreater": ">", "textbar": "|"}


def set_by_latex(text: str) -> str:
    """What LaTeX sets for an escaped text."""
    plain = re.sub(r"\\(text[a-z]+)\{\}", lambda found: f"\0{_NAMED[found[1]]}", text)
    plain = re.sub(r"(?<!\\)\{\}", "", plain)
    return re.sub(r"\\([&%$#_{}])", r"\1", plain).replace("\0", "")


@given(st.text(alphabet=st.one_of(st.sampled_from("\\&%$#_{}~^<>|-`'\" a{}\n"), st.characters()), max_size=40))
def test_latex_sets_every_text_as_it_is(text: str) -> None:
    escaped = escape_latex(text)
    wanted = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    assert set_by_latex(escaped) == wanted
    bare = re.sub(r"\\text[a-z]+\{\}|\\[&%$#_{}]", "", escaped).replace("{}", "")
    assert not set("\\&%$#_{}~^<>|") & set(bare)
    assert "--" not in escaped
    assert "\n" not in escaped


@given(st.text(max_size=40))
def test_markdown_cells_stay_cells(text: str) -> None:
    escaped = escape_markdown(text)
    assert "\n" not in escaped
    assert not re.search(r"(?<!\\)(\\\\)*\|", escaped)
    assert re.sub(r"\\([\\|*`<>\[\]~_])", r"\1", escaped) == " ".join(
        "".join(sign if sign.isprintable() else " " for sign in text).split()
    )
