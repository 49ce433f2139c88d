"""report.html: one self-contained file with a picture or charts, the numbers and how to repeat them."""

from __future__ import annotations

from graphrep.cli.report.page import Chart, Report, Table, write_report
from graphrep.cli.report.picture import Picture, make_picture, save_png

__all__ = ["Chart", "Picture", "Report", "Table", "make_picture", "save_png", "write_report"]
