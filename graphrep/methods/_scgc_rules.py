"""What SCGC and PamC refuse before they train, and what they tell after."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from graphrep.errors import GraphrepError, UnknownNameError
from graphrep.methods._partition_input import check_cluster_count, check_integer
from graphrep.objectives.influence import NEGATIVES
from graphrep.train import History
from graphrep.train.signals import look

__all__ = ["check_settings", "course_notes", "pretrain_rule"]

_STILL_FALLING = 0.1  # share of its loss that an auto-encoder lost in its last epochs, from which it was cut short
_LAST = 5
_COLLAPSED = 0.2  # of the dimensions there could be
_PUBLISHED, _MOST = 30, 300  # epochs of the auto-encoder


def check_settings(model: Any, num_nodes: int) -> None:
    """Raises unless the constructor's arguments make sense for a graph of this size.

    Raises:
        GraphrepError, UnknownNameError: the first that does not.
    """
    if check_cluster_count(model.num_clusters, num_nodes) < 2:
        raise GraphrepError("With one cluster every node is in it.", hint="num_clusters=2 or more")
    for name, known in (("variant", ("star", "full")), ("negatives", NEGATIVES)):
        if getattr(model, name) not in known:
            raise UnknownNameError(f'{name} is "{getattr(model, name)}".', hint="one of " + ", ".join(known))
    if isinstance(model.scale_features, str):
        if model.scale_features not in ("none", "equal", "row"):
            raise UnknownNameError(
                f'scale_features is "{model.scale_features}".', hint='"none", "equal", "row" or a number to multiply by'
            )
    else:
        _check_number("scale_features", model.scale_features, above=0)
    for name in ("inv_temperature", "df"):
        _check_number(name, getattr(model, name), above=0)
    for name in ("alpha", "beta"):
        _check_number(name, getattr(model, name))
    for name in ("num_walks", "n_init", "dim", "order", "patience"):
        check_integer(name, getattr(model, name), 1)
    for name in ("pretrain_batch_size", "batch_size"):
        if name != "batch_size" or model.batch_size is not None:
            check_integer(name, getattr(model, name), 2)


def pretrain_rule(model: Any) -> dict[str, Any]:
    """When the training of the auto-encoder ends, as arguments of :class:`graphrep.train.TrainConfig`.

    The published 30 epochs are over a thousand steps on the graphs they were published for, and too few on small ones,
    whose loss then still falls.
    """
    if model.pretrain_epochs is None:
        return {"epochs": _MOST, "min_epochs": _PUBLISHED, "patience": _LAST, "min_delta": _STILL_FALLING}
    patience, min_delta = model.pretrain_patience, model.pretrain_min_delta
    return {"epochs": model.pretrain_epochs, "patience": patience, "min_delta": min_delta}


def _check_number(name: str, value: Any, *, above: float | None = None) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or (value < 0 if above is None else value <= above):
        least = "0 or more" if above is None else f"above {above:g}"
        raise GraphrepError(f"{name} must be a number, {least}; got {value!r}.", hint=f"{name}=0.5")


def course_notes(history: History, z: Tensor, *, rule: str, window: int) -> list[str]:
    """Sentences on trainings that were cut short and on an embedding that has collapsed.

    Args:
        history: of the joint training.
        z: (N, d) embedding.
        rule: by which it was to stop.
        window: epochs over which changes of labels were counted.
    """
    notes = []
    for before in history.earlier:
        losses, count = before.losses[-_LAST - 1 :], len(before.epochs)
        fell = (losses[0] - losses[-1]) / losses[0] if len(losses) > 1 and losses[0] > 0 else 0.0
        if before.stopped == "epochs" and fell > _STILL_FALLING:
            notes.append(
                f"The auto-encoder still improved when it ended: its loss fell by {100 * fell:.1f} % in the last "
                f"{len(losses) - 1} of {count} epochs. pretrain_epochs={2 * count} may help."
            )
    changed = history.epochs[-1].parts.get("changed") if history.epochs else None
    if rule == "changed" and history.stopped == "epochs" and changed is not None:
        notes.append(
            f"The labels did not settle in {len(history.epochs)} epochs: {100 * changed:.1f} % of the nodes changed "
            f"theirs in the last {window}."
        )
    rank = look(z)["rankme"]
    if rank < _COLLAPSED * min(z.shape):
        notes.append(f"The embedding has collapsed: it uses {rank:.1f} of {z.shape[1]} dimensions (RankMe).")
    return notes
