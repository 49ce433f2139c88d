"""Cells of tables that say more than text: a bar behind a number, a colour, emphasis."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

__all__ = ["Bar", "Spread", "Strong", "Swatch"]


@dataclass(frozen=True)
class Bar:
    """A number in front of a bar of its share.

    Attributes:
        text: the number as it is written.
        share: length of the bar between 0 and 1.
        warm: orange in place of blue, for what is better when small.

    Example:
        >>> Bar("12", 0.5).html()
        "<span class='bar'><i style='width:50.0%'></i><b>12</b></span>"
    """

    text: str
    share: float
    warm: bool = False

    def html(self) -> str:
        """The cell."""
        kind = "bar warm" if self.warm else "bar"
        width = 100 * min(max(self.share, 0.0), 1.0)
        return f"<span class='{kind}'><i style='width:{width:.1f}%'></i><b>{escape(self.text)}</b></span>"


@dataclass(frozen=True)
class Spread:
    """A mean with its spread in smaller type.

    Attributes:
        mean: as it is written.
        std: as it is written; empty for none.
        strong: whether the mean stands out.

    Example:
        >>> Spread("61.2", "0.4").html()
        '61.2 <small>\u00b1 0.4</small>'
    """

    mean: str
    std: str = ""
    strong: bool = False

    def html(self) -> str:
        """The cell."""
        mean = f"<strong>{escape(self.mean)}</strong>" if self.strong else escape(self.mean)
        return mean + (f" <small>\u00b1 {escape(self.std)}</small>" if self.std else "")


@dataclass(frozen=True)
class Strong:
    """Text that stands out.

    Example:
        >>> Strong("a < b").html()
        '<strong>a &lt; b</strong>'
    """

    text: str

    def html(self) -> str:
        """The cell."""
        return f"<strong>{escape(self.text)}</strong>"


@dataclass(frozen=True)
class Swatch:
    """Text with the colour that stands for it in the picture.

    Attributes:
        text: what it is called.
        color: ``#rrggbb``.
    """

    text: str
    color: str

    def html(self) -> str:
        """The cell."""
        return f"<span class='swatch' style='background:{escape(self.color, quote=True)}'></span>{escape(self.text)}"
