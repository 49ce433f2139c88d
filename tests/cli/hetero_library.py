"""A small typed graph of three classes: papers, their authors, who mostly write on one of them, and venues."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import graphrep as gr

NODES = 60


def library(**changes: Any) -> gr.HeteroGraph:
    rng = np.random.default_rng(0)
    y = np.arange(NODES) % 3
    topic = np.where(rng.random((NODES, 3)) < 0.85, y[:, None], rng.integers(0, 3, (NODES, 3)))
    by = np.stack([np.repeat(np.arange(NODES), 3), (rng.integers(0, 8, (NODES, 3)) * 3 + topic).reshape(-1)])
    venue = np.stack([np.arange(NODES), np.where(rng.random(NODES) < 0.8, y, rng.integers(0, 3, NODES))])
    splits = {}
    for labelled in (2, 4):
        train = np.concatenate([np.flatnonzero(y == c)[:labelled] for c in range(3)])
        rest = np.setdiff1d(np.arange(NODES), train)
        splits |= {f"train_{labelled}": train, f"val_{labelled}": rest[:20], f"test_{labelled}": rest[20:]}
    parts: dict[str, Any] = {
        "x": {"paper": (np.eye(3)[y] + rng.random((NODES, 3))).astype(np.float32)},
        "y": y,
        "target": "paper",
        "ids": {"paper": [f"p{i}" for i in range(NODES)]},
        "splits": splits,
        "metapaths": ["paper>author>paper", "paper>venue>paper"],
    }
    return gr.HeteroGraph({("paper", "by", "author"): by, ("paper", "in", "venue"): venue}, **{**parts, **changes})


def save(folder: Path, **changes: Any) -> Path:
    return gr.write(library(**changes), folder)
