"""report.html: one self-contained file with a picture or charts, the numbers and how to repeat them."""

from __future__ import annotations

from graphrep.cli.report.cells import Bar, Spread, Strong, Swatch
from graphrep.cli.report.page import Chart, Report, Table, write_report
from graphrep.cli.report.picture import Face, Picture, make_picture, save_png

__all__ = [
    "Bar", "Chart", "Face", "Picture", "Report", "Spread", "Strong", "Swatch", "Table", "make_picture", "save_png",
    "write_report",
]  # fmt: skip
