"""What figures share: matplotlib, which is optional; as SVG text for a page, or as a file of the format in its name."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from graphrep.data.write import atomic_write
from graphrep.errors import GraphrepError, MissingExtraError

__all__ = ["INK", "SOFT", "check_picture", "new_figure", "save_figure", "svg_text"]

INK, SOFT = "#1c2329", "#5b6770"  # as in page.css
_NO_METADATA = {"Creator": None, "Date": None, "Format": None, "Type": None}


def new_figure(width: float, height: float) -> Any:
    """An empty matplotlib figure, in inches.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(
            "Pictures need matplotlib, which is not installed.", hint='pip install "graphrep[viz]"'
        ) from error
    return Figure(figsize=(width, height), dpi=150, layout="constrained")


def check_picture(path: Path | None) -> None:
    """Finds out before anything is computed whether a figure can be drawn, and written to `path`.

    Raises:
        MissingExtraError: matplotlib is not installed.
        GraphrepError: matplotlib writes no files with this ending.
    """
    figure = new_figure(1, 1)
    if path is not None:
        _kind(path, figure)


def _kind(path: Path, figure: Any) -> str:
    kind = path.suffix.lower().removeprefix(".")
    if kind not in figure.canvas.get_supported_filetypes():
        raise GraphrepError(
            f'{path}: no picture is written as "{kind}".', hint=f"{path.with_suffix('.png')}, .pdf, .svg"
        )
    return kind


def save_figure(path: Path, figure: Any) -> None:
    """Writes png, pdf, svg, ... under a temporary name and moves it into place.

    Raises:
        GraphrepError: matplotlib writes no files with this ending.
    """
    kind = _kind(path, figure)
    drawn = svg_text(figure).encode() if kind == "svg" else _drawn(figure, kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(drawn)


def svg_text(figure: Any) -> str:
    """The figure as one svg element; the same numbers give the same text, and words stay words."""
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "graphrep", "svg.fonttype": "none"}):
        text = _drawn(figure, "svg", metadata=_NO_METADATA).decode()
    return text[text.index("<svg") :]


def _drawn(figure: Any, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, **options)
    return buffer.getvalue()
