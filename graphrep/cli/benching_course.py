"""What the tables of `graphrep bench` tell of trainings: the epoch that was kept, seconds per epoch, memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["COURSE", "course_cells", "course_facts"]

COURSE = ("kept epoch", "s / epoch", "peak GiB")


def course_facts(history: Any) -> dict[str, Any]:
    """Epochs, the kept one, why it stopped, and the median seconds of an epoch, for a row of the result file."""
    seconds = [log.seconds for log in history.epochs]
    return {
        "epochs": len(history.epochs),
        "kept_epoch": history.kept_epoch,
        "stopped": history.stopped,
        "seconds_per_epoch": round(float(np.median(seconds)), 4) if seconds else None,
    }


def course_cells(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The cells under :data:`COURSE` of finished runs."""
    epochs = [row["kept_epoch"] for row in rows]
    speed = [row["seconds_per_epoch"] for row in rows if row["seconds_per_epoch"] is not None]
    return [
        f"{min(epochs)}" if min(epochs) == max(epochs) else f"{min(epochs)}-{max(epochs)}",
        f"{np.median(speed):.3g}" if speed else "",
        f"{max(row['peak_memory_bytes'] for row in rows) / 2**30:.2f}",
    ]
