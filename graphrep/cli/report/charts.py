"""Small drawings as SVG text, without matplotlib: curves with a marked choice, and matrices of agreement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

__all__ = ["Curve", "curves_svg", "matrix_svg"]

_INK, _SOFT, _LINE, _COLOR, _MARK = "#1c2329", "#5b6770", "#dde3e8", "#3f90da", "#bd1f01"
_WIDTH = 1000
_PANEL_HEIGHT = 190
_GAP = 34
_MOST_NAMES = 40  # rows of a matrix whose cells have room for numbers


@dataclass(frozen=True)
class Curve:
    """One panel of a row: a quantity over whole numbers.

    Attributes:
        title: what is drawn.
        x: where, ascending.
        y: the values; NaN is left out.
        marked: the x that is pointed out, or None.
        error: half lengths of the bars, or None.
        note: one short line under the title, such as what is good.
    """

    title: str
    x: Sequence[float]
    y: Sequence[float]
    marked: float | None = None
    error: Sequence[float] | None = None
    note: str = ""


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


def _panel(curve: Curve, wide: float, label: str) -> str:
    points = [(x, y, e) for x, y, e in zip(curve.x, curve.y, curve.error or [0.0] * len(curve.x), strict=True)]
    shown = [(x, y, e) for x, y, e in points if not math.isnan(y)]
    head = f'<text x="0" y="14" font-weight="600">{escape(curve.title)}</text>'
    if curve.note:
        head += f'<text x="{wide:.1f}" y="14" text-anchor="end" fill="{_SOFT}" font-size="12">{escape(curve.note)}</text>'
    if not shown:
        return head + f'<text x="0" y="40" fill="{_SOFT}">nothing to draw</text>'
    left, right, top, bottom = 46.0, wide - 10, 30.0, _PANEL_HEIGHT - 34.0
    low, high = min(y - e for _, y, e in shown), max(y + e for _, y, e in shown)
    span = high - low or 1.0
    low, high = low - 0.06 * span, high + 0.06 * span
    first, last = min(curve.x), max(curve.x)

    def across(x: float) -> float:
        return left + (right - left) * ((x - first) / (last - first) if last > first else 0.5)

    def up(y: float) -> float:
        return bottom - (bottom - top) * (y - low) / (high - low)

    parts = [head]
    for tick in _ticks(low, high):
        parts.append(
            f'<line x1="{left}" x2="{right:.1f}" y1="{up(tick):.1f}" y2="{up(tick):.1f}" stroke="{_LINE}"/>'
            f'<text x="{left - 7}" y="{up(tick) + 4:.1f}" text-anchor="end" fill="{_SOFT}" font-size="11">{tick:g}</text>'
        )
    for x in _some(list(curve.x), 12):
        parts.append(
            f'<text x="{across(x):.1f}" y="{bottom + 16:.1f}" text-anchor="middle" fill="{_SOFT}" '
            f'font-size="11">{x:g}</text>'
        )
    parts.append(
        f'<text x="{(left + right) / 2:.1f}" y="{bottom + 31:.1f}" text-anchor="middle" fill="{_SOFT}" '
        f'font-size="11">{escape(label)}</text>'
    )
    if curve.marked is not None and first <= curve.marked <= last:
        parts.append(
            f'<line x1="{across(curve.marked):.1f}" x2="{across(curve.marked):.1f}" y1="{top}" y2="{bottom:.1f}" '
            f'stroke="{_MARK}" stroke-dasharray="4 4"/>'
        )
    line = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y, _ in shown)
    parts.append(f'<polyline points="{line}" fill="none" stroke="{_COLOR}" stroke-width="2"/>')
    for x, y, e in shown:
        if e:
            parts.append(
                f'<line x1="{across(x):.1f}" x2="{across(x):.1f}" y1="{up(y - e):.1f}" y2="{up(y + e):.1f}" '
                f'stroke="{_COLOR}" stroke-opacity=".45" stroke-width="2"/>'
            )
        color, size = (_MARK, 5) if x == curve.marked else (_COLOR, 3.5)
        parts.append(
            f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="{size}" fill="{color}">'
            f"<title>{x:g}: {y:.4g}</title></circle>"
        )
    return "".join(parts)


def _ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers between `low` and `high`."""
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
    first = math.ceil(low / step)
    return [round(step * (first + i), 12) for i in range(7) if step * (first + i) <= high]


def _some(values: Sequence[Any], most: int) -> list[Any]:
    step = math.ceil(len(values) / most)
    return list(values[::step])


def matrix_svg(values: Sequence[Sequence[float]], names: Sequence[str], *, groups: Sequence[int] = ()) -> str:
    """A square matrix with entries in [0, 1] as shades of blue, each with its number where there is room.

    Args:
        values: (n, n).
        names: of rows and columns.
        groups: sizes of consecutive groups of rows, parted by a gap; none by default.

    Example:
        >>> matrix_svg([[1.0, 0.5], [0.5, 1.0]], ["a", "b"]).count("<rect")
        4
    """
    count = len(names)
    cell = max(9.0, min(44.0, 400.0 / max(count, 1)))
    written = cell >= 26
    left = min(230.0, 14 + 7.2 * max((len(name) for name in names), default=0))
    offset = _offsets(count, groups)
    top = left if count else 0.0
    parts = []
    for i, name in enumerate(names):
        middle = top + offset[i] + cell * i + cell / 2
        if count <= _MOST_NAMES:
            parts.append(f'<text x="{left - 8}" y="{middle + 4:.1f}" text-anchor="end">{escape(name)}</text>')
            across = left + offset[i] + cell * i + cell / 2
            parts.append(
                f'<text transform="translate({across + 4:.1f} {top - 8:.1f}) rotate(-60)" '
                f'fill="{_SOFT}">{escape(name)}</text>'
            )
        for j, other in enumerate(names):
            value = values[i][j]
            known = not math.isnan(value)
            strength = min(max(value, 0.0), 1.0) if known else 0.0
            x, y = left + offset[j] + cell * j, top + offset[i] + cell * i
            fill = f"rgb({_blend(strength)})" if known else "#f4f6f8"
            text = f"{value:.2f}" if known else "-"
            parts.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{cell - 1:.1f}" height="{cell - 1:.1f}" fill="{fill}">'
                f"<title>{escape(name)}, {escape(other)}: {text}</title></rect>"
            )
            if written:
                ink = "#fff" if strength > 0.5 else _INK
                parts.append(
                    f'<text x="{x + cell / 2:.1f}" y="{y + cell / 2 + 4:.1f}" text-anchor="middle" fill="{ink}" '
                    f'font-size="{min(13.0, cell / 2.9):.1f}" pointer-events="none">{text}</text>'
                )
    side = left + (offset[-1] if count else 0) + cell * count + 60
    return _svg(side, top + (offset[-1] if count else 0) + cell * count + 6, "".join(parts), "agreement", fixed=True)


def _offsets(count: int, groups: Sequence[int]) -> list[float]:
    """Extra distance before each row."""
    found: list[float] = []
    for number, size in enumerate(groups or [count]):
        found += [6.0 * number] * size
    return found + [found[-1] if found else 0.0] * (count - len(found))


def _blend(strength: float) -> str:
    """From near-white to a deep blue."""
    low, high = (244, 246, 248), (0, 74, 140)
    return " ".join(f"{round(a + (b - a) * strength)}" for a, b in zip(low, high, strict=True))
