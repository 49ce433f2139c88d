"""The page: fills the template with escaped text, charts, tables and the packed points of the picture."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from graphrep.cli.report.cells import Bar, Spread, Strong, Swatch
from graphrep.cli.report.picture import Picture
from graphrep.cli.runs import write_text

__all__ = ["Chart", "Report", "Table", "render", "write_report"]

_CARD = 14  # settings that fit into a card
_DENSE = 8  # columns that fit in type of the usual size


@dataclass(frozen=True)
class Table:
    """A table with a caption; `shade` colours a cell by its share of its row's sum (for confusion tables).

    Cells are text, numbers, or those of :mod:`graphrep.cli.report.cells`. With `wrap` long text goes over several
    lines; a table without names of columns always does.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str = ""
    shade: bool = False
    wrap: bool = False


@dataclass(frozen=True)
class Chart:
    """A drawing with a heading; `svg` is one svg element of our own making and is not escaped.

    Consecutive charts with `half` stand side by side where there is room.
    """

    title: str
    svg: str
    note: str = ""
    half: bool = False


@dataclass(frozen=True)
class Report:
    """What a page shows. All text may come from the user's file: it is escaped here, once.

    Attributes:
        title: heading of the page.
        subtitle: the line below it.
        facts: (name, value) pairs of the graph and of the run.
        settings: parameters of the method; many of them stand at the end.
        tables: scores, neighbours, confusion, in this order; charts may stand among them.
        command: what to type to get the same again.
        picture: the points, or None where there are none to draw.
        charts: drawings, above the facts.
    """

    title: str
    subtitle: str
    facts: Mapping[str, Sequence[tuple[str, str]]]
    settings: Mapping[str, Any]
    command: str
    tables: Sequence[Table | Chart] = ()
    picture: Picture | None = None
    footer: str = field(default="")
    charts: Sequence[Chart] = ()


def write_report(path: Path, report: Report) -> None:
    """Writes the page under a temporary name and moves it into place."""
    write_text(path, render(report))


def render(report: Report) -> str:
    """The whole page as text.

    Example:
        >>> page = render(Report("<b>", "", {}, {"dim": 8}, "graphrep demo"))
        >>> "<b>" in page, "&lt;b&gt;" in page
        (False, True)
    """
    here = files(__package__)
    settings = _facts("Settings", [(key, _plain(value)) for key, value in report.settings.items()])
    long = len(report.settings) > _CARD
    return Template((here / "page.html").read_text(encoding="utf8")).substitute(
        title=escape(report.title),
        subtitle=escape(report.subtitle),
        style=(here / "page.css").read_text(encoding="utf8"),
        script=(here / "picture.js").read_text(encoding="utf8"),
        points=_json(report.picture.packed()) if report.picture else "null",
        picture_class="" if report.picture else "hidden",
        picture_note=escape(report.picture.note) if report.picture else "",
        charts="".join(_chart(chart) for chart in report.charts),
        facts="".join(_facts(name, pairs) for name, pairs in report.facts.items()),
        settings="" if long else settings,
        tables=_blocks(report.tables) + (settings.replace("class=card", "class='wide columns'") if long else ""),
        command=escape(report.command),
        footer=escape(report.footer),
    )


def _json(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_plain(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _facts(title: str, pairs: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs)
    return f"<section class=card><h2>{escape(title)}</h2><dl>{rows}</dl></section>" if rows else ""


def _blocks(blocks: Sequence[Table | Chart]) -> str:
    """Tables and charts one below the other, half charts in pairs."""
    parts: list[str] = []
    for half, group in itertools.groupby(blocks, key=lambda block: isinstance(block, Chart) and block.half):
        drawn = "".join(_table(block) if isinstance(block, Table) else _chart(block) for block in group)
        parts.append(f"<div class='cards halves'>{drawn}</div>" if half else drawn)
    return "".join(parts)


def _chart(chart: Chart) -> str:
    note = f"<p class=note>{escape(chart.note)}</p>" if chart.note else ""
    return f"<section class='wide chart'><h2>{escape(chart.title)}</h2>{chart.svg}{note}</section>"


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
    body = "".join(f"<tr>{_cells(row, shade=table.shade)}</tr>" for row in table.rows)
    note = f"<p class=note>{escape(table.note)}</p>" if table.note else ""
    title = f"<h2>{escape(table.title)}</h2>"
    if not any(table.columns):
        return f"<section class=wide>{title}<table class='list wrap'><tbody>{body}</tbody></table>{note}</section>"
    kind = f" class='{'wrap' if table.wrap else ''}{' dense' if len(table.columns) > _DENSE else ''}'"
    inside = f"<table{kind}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f"<section class=wide>{title}<div class=scroll>{inside}</div>{note}</section>"


def _cells(row: Sequence[Any], *, shade: bool) -> str:
    total = sum(cell for cell in row if isinstance(cell, int)) if shade else 0
    parts = []
    for cell in row:
        if isinstance(cell, Bar | Spread | Strong | Swatch):
            parts.append(f"<td class=n>{cell.html()}</td>")
            continue
        number = isinstance(cell, int | float)
        style = ""
        if shade and isinstance(cell, int) and total:
            share = cell / total
            style = (
                f" style='background:rgba(0,90,160,{0.75 * share:.3f});color:{'#fff' if share > 0.6 else 'inherit'}'"
            )
        text = f"{cell:.4f}" if isinstance(cell, float) else str(cell)
        parts.append(f"<td{' class=n' if number else ''}{style}>{escape(text)}</td>")
    return "".join(parts)
