"""What is known of a registered name."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

__all__ = ["Entry"]


@dataclass(frozen=True)
class Entry:
    """One registered name.

    Attributes:
        target: ``"module:object"``, imported on first use.
        task: what the method is for (``embed``, ``classify``, ``cluster``, ``linkpred``, ``recommend``).
        summary: one line for ``graphrep list``.
        needs: what the input must hold beyond edges (``features``, ``labels``, ``text``, ``hetero``: several kinds of
            nodes).
        bibtex: the authors' citation.
    """

    target: str
    task: str
    summary: str
    needs: tuple[str, ...] = ()
    bibtex: str = ""

    def load(self) -> Any:
        """Imports and returns the registered object."""
        module, _, name = self.target.partition(":")
        return getattr(importlib.import_module(module), name)
