"""Tables for papers, with the package booktabs."""

from __future__ import annotations

import re

from selma_core.export.grid import Grid, one_line

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}
_SPECIAL = re.compile("[" + re.escape("".join(_ESCAPES)) + "]")
_SIGNED = re.compile(r"(?<![\w.-])([+-])(?=\d)")


def escape_latex(text: str) -> str:
    """A text that LaTeX sets as it is, in one line; ligatures of `--` and of quotes are broken up."""
    plain = _SPECIAL.sub(lambda found: _ESCAPES[found[0]], one_line(text))
    return re.sub(r"([-`'])(?=\1)", r"\1{}", plain)


def latex_table(scores: Grid, claims: Grid | None, title: str) -> str:
    """A `table` with the scores, and one with the claims; what bold means is said in the caption."""
    caption = [f"{title}.", *scores.notes, *([scores.rule] if scores.bold else [])]
    parts = ["% needs \\usepackage{booktabs}", _comment(scores.rule), _table(scores, " ".join(caption))]
    if claims is not None:
        parts.append(_table(claims, f"Claims, {title}."))
    return "\n".join(part for part in parts if part) + "\n"


def _comment(rule: str) -> str:
    return f"% {' '.join(rule.split())}" if rule else ""


def _table(grid: Grid, caption: str) -> str:
    spec = "".join("r" if column.numeric else "l" for column in grid.columns)
    lines = [_row([escape_latex(column.title) for column in grid.columns]), r"\midrule"]
    for place, row in enumerate(grid.rows):
        cells = [_cell(text, grid.columns[at].numeric) for at, text in enumerate(row)]
        lines.append(
            _row([rf"\textbf{{{cell}}}" if (place, at) in grid.bold else cell for at, cell in enumerate(cells)])
        )
    body = "\n".join(f"    {line}" for line in [r"\toprule", *lines, r"\bottomrule"])
    return (
        "\\begin{table}\n  \\centering\n"
        f"  \\caption{{{escape_latex(caption)}}}\n  \\begin{{tabular}}{{{spec}}}\n{body}\n"
        "  \\end{tabular}\n\\end{table}"
    )


def _row(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"


def _cell(text: str, numeric: bool) -> str:
    """Signs of numbers are set as such: a hyphen is no minus."""
    if text == "-":
        return "--"
    return _SIGNED.sub(r"$\1$", escape_latex(text)) if numeric else escape_latex(text)
