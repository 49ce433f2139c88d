"""Training: one loop for every method, which it knows only as a :class:`Task`; stops, checkpoints, collapse warnings.

Names load on first use (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {
    "Callback": "graphrep.train.task",
    "CollapseWarning": "graphrep.train.signals",
    "EpochLog": "graphrep.train.task",
    "GroupedTask": "graphrep.train.task",
    "History": "graphrep.train.task",
    "JudgedTask": "graphrep.train.task",
    "Interrupted": "graphrep.train.loop",
    "Task": "graphrep.train.task",
    "TrainConfig": "graphrep.train.config",
    "seeded": "graphrep.train.seed",
    "train": "graphrep.train.loop",
}

__all__ = sorted(_NAMES)


def __getattr__(name: str) -> Any:
    """Imports public names on first use."""
    if name not in _NAMES:
        raise AttributeError(f"module 'graphrep.train' has no attribute {name!r}")
    value = getattr(importlib.import_module(_NAMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
