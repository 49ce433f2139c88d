"""Small drawings as SVG text, without matplotlib: curves with a marked choice, and matrices of agreement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from graphrep.cli.report.picture import PALETTE

__all__ = ["Curve", "curves_svg", "matrix_svg"]

_INK, _SOFT, _LINE = "#1c2329", "#5b6770", "#dde3e8"  # as in page.css
_COLOR, _MARK = PALETTE[0], PALETTE[2]
_WIDTH = 1000
_PANEL_HEIGHT, _GAP = 190, 34
_LEFT, _TOP = 46.0, 30.0
_LARGEST, _SMALLEST, _SIDE = 44.0, 9.0, 400.0  # of the cells of a matrix, and of the matrix
_WRITTEN = 26.0  # cells of this size have room for a number
_MOST_NAMES = 40


@dataclass(frozen=True)
class Curve:
    """One panel of a row: a quantity over whole numbers.

    Attributes:
        title: what is drawn.
        x: where, ascending.
        y: the values; NaN is left out.
        marked: the x that is pointed out, or None.
        error: half lengths of the bars, or None.
        note: one short line beside the title, such as what is good.
    """

    title: str
    x: Sequence[float]
    y: Sequence[float]
    marked: float | None = None
    error: Sequence[float] | None = None
    note: str = ""

    def points(self) -> list[tuple[float, float, float]]:
        """(x, y, error) where y is known."""
        errors = self.error or [0.0] * len(self.x)
        found = zip(self.x, self.y, errors, strict=True)
        return [(x, y, 0.0 if math.isnan(e) else e) for x, y, e in found if not math.isnan(y)]


def curves_svg(curves: Sequence[Curve], *, label: str, columns: int = 2) -> str:
    """Panels side by side, `columns` in a row, each with its own scale.

    Example:
        >>> svg = curves_svg([Curve("modularity", [2, 3, 4], [0.1, 0.4, 0.3], marked=3)], label="clusters")
        >>> svg.startswith("<svg"), svg.count("<circle")
        (True, 3)
    """
    columns = max(1, min(columns, len(curves)))
    rows = math.ceil(len(curves) / columns)
    wide = (_WIDTH - (columns - 1) * _GAP) / columns
    parts = []
    for number, curve in enumerate(curves):
        left = (number % columns) * (wide + _GAP)
        top = (number // columns) * (_PANEL_HEIGHT + _GAP)
        parts.append(f'<g transform="translate({left:.1f} {top:.1f})">{_panel(curve, wide, label)}</g>')
    height = rows * _PANEL_HEIGHT + (rows - 1) * _GAP + 6
    return _svg(_WIDTH, height, "".join(parts), "; ".join(c.title for c in curves))


def _svg(width: float, height: float, body: str, title: str, *, fixed: bool = False) -> str:
    """An svg element; a `fixed` one is not stretched to the width of the page."""
    size = f' style="width:{width:.0f}px;max-width:100%"' if fixed else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}"{size} role="img" '
        f'aria-label="{escape(title, quote=True)}" font-size="13" fill="{_INK}">{body}</svg>'
    )


def _text(x: float, y: float, text: str, *, anchor: str = "middle", soft: bool = True, size: float = 11) -> str:
    color = f' fill="{_SOFT}"' if soft else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{color} font-size="{size:g}">{escape(text)}</text>'


def _stroke(x1: float, y1: float, x2: float, y2: float, color: str, more: str = "") -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}"{more}/>'


class _Scale:
    """Where values lie in a panel."""

    def __init__(self, curve: Curve, wide: float) -> None:
        points = curve.points()
        low, high = min(y - e for _, y, e in points), max(y + e for _, y, e in points)
        room = 0.06 * (high - low or 1.0)
        self.low, self.high = low - room, high + room
        self.first, self.last = min(curve.x), max(curve.x)
        self.right, self.bottom = wide - 10, _PANEL_HEIGHT - 34.0

    def across(self, x: float) -> float:
        """Pixels from the left."""
        share = (x - self.first) / (self.last - self.first) if self.last > self.first else 0.5
        return _LEFT + (self.right - _LEFT) * share

    def up(self, y: float) -> float:
        """Pixels from the top."""
        return self.bottom - (self.bottom - _TOP) * (y - self.low) / (self.high - self.low)


def _panel(curve: Curve, wide: float, label: str) -> str:
    head = f'<text x="0" y="14" font-weight="600">{escape(curve.title)}</text>'
    if curve.note:
        head += _text(wide, 14, curve.note, anchor="end", size=12)
    if not curve.points():
        return head + _text(0, 40, "nothing to draw", anchor="start")
    scale = _Scale(curve, wide)
    return head + _axes(curve, scale, label) + _marks(curve, scale)


def _axes(curve: Curve, scale: _Scale, label: str) -> str:
    parts = []
    for tick in _ticks(scale.low, scale.high):
        parts.append(_stroke(_LEFT, scale.up(tick), scale.right, scale.up(tick), _LINE))
        parts.append(_text(_LEFT - 7, scale.up(tick) + 4, f"{tick:g}", anchor="end"))
    step = math.ceil(len(curve.x) / 12)
    parts += [_text(scale.across(x), scale.bottom + 16, f"{x:g}") for x in list(curve.x)[::step]]
    parts.append(_text((_LEFT + scale.right) / 2, scale.bottom + 31, label))
    return "".join(parts)


def _marks(curve: Curve, scale: _Scale) -> str:
    parts = []
    if curve.marked is not None and scale.first <= curve.marked <= scale.last:
        x = scale.across(curve.marked)
        parts.append(_stroke(x, _TOP, x, scale.bottom, _MARK, ' stroke-dasharray="4 4"'))
    line = " ".join(f"{scale.across(x):.1f},{scale.up(y):.1f}" for x, y, _ in curve.points())
    parts.append(f'<polyline points="{line}" fill="none" stroke="{_COLOR}" stroke-width="2"/>')
    for x, y, error in curve.points():
        across = scale.across(x)
        if error:
            bar = ' stroke-opacity=".45" stroke-width="2"'
            parts.append(_stroke(across, scale.up(y - error), across, scale.up(y + error), _COLOR, bar))
        color, size = (_MARK, 5) if x == curve.marked else (_COLOR, 3.5)
        told = f"<title>{x:g}: {y:.4g}</title>"
        parts.append(f'<circle cx="{across:.1f}" cy="{scale.up(y):.1f}" r="{size}" fill="{color}">{told}</circle>')
    return "".join(parts)


def _ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers between `low` and `high`."""
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
    first = math.ceil(low / step)
    return [round(step * (first + i), 12) for i in range(7) if step * (first + i) <= high]


def matrix_svg(values: Sequence[Sequence[float]], names: Sequence[str]) -> str:
    """A square matrix with entries in [0, 1] as shades of blue, each with its number where there is room.

    Args:
        values: (n, n); NaN is unknown.
        names: of rows and columns.

    Example:
        >>> matrix_svg([[1.0, 0.5], [0.5, 1.0]], ["a", "b"]).count("<rect")
        4
    """
    count = len(names)
    cell = max(_SMALLEST, min(_LARGEST, _SIDE / max(count, 1)))
    margin = min(230.0, 14 + 7.2 * max((len(name) for name in names), default=0)) if count <= _MOST_NAMES else 4.0
    parts = _matrix_names(names, cell, margin) if count <= _MOST_NAMES else []
    for i, name in enumerate(names):
        for j, other in enumerate(names):
            place = margin + cell * j, margin + cell * i
            parts.append(_matrix_cell(values[i][j], place, cell, f"{name}, {other}"))
    return _svg(margin + cell * count + 60, margin + cell * count + 6, "".join(parts), "agreement", fixed=True)


def _matrix_names(names: Sequence[str], cell: float, margin: float) -> list[str]:
    parts = []
    for number, name in enumerate(names):
        middle = margin + cell * (number + 0.5)
        parts.append(_text(margin - 8, middle + 4, name, anchor="end", soft=False, size=13))
        turned = f'transform="translate({middle + 4:.1f} {margin - 8:.1f}) rotate(-60)"'
        parts.append(f'<text {turned} fill="{_SOFT}">{escape(name)}</text>')
    return parts


def _matrix_cell(value: float, place: tuple[float, float], cell: float, what: str) -> str:
    x, y = place
    known = not math.isnan(value)
    strength = min(max(value, 0.0), 1.0) if known else 0.0
    text = f"{value:.2f}" if known else "-"
    drawn = (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{cell - 1:.1f}" height="{cell - 1:.1f}" fill="{_blend(strength)}">'
        f"<title>{escape(what)}: {text}</title></rect>"
    )
    if cell < _WRITTEN:
        return drawn
    ink = "#fff" if strength > 0.5 else _INK
    return drawn + (
        f'<text x="{x + cell / 2:.1f}" y="{y + cell / 2 + 4:.1f}" text-anchor="middle" fill="{ink}" '
        f'font-size="{min(13.0, cell / 2.9):.1f}" pointer-events="none">{text}</text>'
    )


def _blend(strength: float) -> str:
    """From near-white to a deep blue."""
    low, high = (244, 246, 248), (0, 74, 140)
    return f"rgb({' '.join(f'{round(a + (b - a) * strength)}' for a, b in zip(low, high, strict=True))})"
