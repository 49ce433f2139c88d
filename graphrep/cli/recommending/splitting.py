"""Training, validation and test parts: those of the data, at random or by time; and the facts of the result."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from graphrep.cli.recommending.counting import counted
from graphrep.cli.recommending.inputs import Inputs
from graphrep.data.check import grouped
from graphrep.data.interactions import PARTS, Interactions
from graphrep.errors import EmptyGraphError, GraphrepError, UnknownNameError
from graphrep.registry import suggest

__all__ = ["PROTOCOLS", "SPLITS", "Divided", "divide"]

SPLITS = ("given", "random", "time", "time-all", "none")
PROTOCOLS = ("holdout", "published")
_BY = {"random": "user", "time": "user_time", "time-all": "time"}


@dataclass(frozen=True)
class Divided:
    """Interactions in parts.

    Attributes:
        data: all rows; every row has a part.
        how: of :data:`SPLITS`.
        protocol: of :data:`PROTOCOLS`.
        notes: sentences on what a user must know.
        counts: users, items, pairs of each part, and what the notes count.
        validation: share of the training pairs that the recommender holds out itself; None where it does not.
    """

    data: Interactions
    how: str
    protocol: str
    notes: list[str]
    counts: dict[str, int]
    validation: float | None = None

    @functools.cached_property
    def fitted_on(self) -> Interactions:
        """What the recommender is given: no test rows, and without validation when nothing is held out."""
        assert self.data.part is not None
        keep = self.data.part != PARTS.index("test")
        if self.protocol == "published":
            keep = keep & (self.data.part != PARTS.index("val"))
        return _rows(self.data, keep.nonzero().reshape(-1))

    def fingerprint(self, name: str) -> str:
        """One line: users, items and the pairs of each part."""
        count = self.counts
        parts = f"{grouped(count['train'])} train / {grouped(count['val'])} validation / {grouped(count['test'])} test"
        return f"{name}: {counted(count['users'], 'user')}, {counted(count['items'], 'item')}, {parts} pairs"


def divide(
    inputs: Inputs, *, how: str | None = None, test: float | None = None, validation: float | None = None,
    protocol: str | None = None, seed: int = 0, validates: bool = True,
) -> Divided:  # fmt: skip
    """Divides interactions.

    Args:
        inputs: what was read.
        how: ``given`` parts, ``random`` among the pairs of each user, ``time`` (the last pairs of each user are tested
            on), ``time-all`` (the last of all), ``none`` (no test); default the given ones if there are any, else
            random.
        test: share of the pairs that are tested on; default 0.2.
        validation: share of the remaining pairs that decide when to stop; default 0.1.
        protocol: ``holdout``, or ``published``: no validation, all epochs.
        seed: of random choices.
        validates: whether the recommender makes use of validation pairs; else none are held out.

    Raises:
        UnknownNameError: no such split or protocol.
        GraphrepError: no given parts, no times, shares out of range.
        EmptyGraphError: nothing to train on.
    """
    data, rule = inputs.data, protocol or "holdout"
    found = how or ("given" if "test" in data.parts else "random")
    for said, known, option in ((found, SPLITS, "--split"), (rule, PROTOCOLS, "--protocol")):
        if said not in known:
            raise UnknownNameError(f'{option} "{said}" is unknown.{suggest(said, known)}', hint=" | ".join(known))
    _check_shares(found, test, validation, rule)
    if found == "given":
        if data.part is None:
            raise GraphrepError(
                f"{inputs.name} is not divided into parts.",
                hint="a column part with train, val, test; or --split random",
            )
    elif found == "none":
        data = data.replace(part=np.zeros(data.num_rows, dtype=np.int8))
    else:
        data = _split(data, found, 0.2 if test is None else test, seed)
    if "train" not in data.parts:
        raise EmptyGraphError(f"{inputs.name} has no training interactions.", hint="--split random")
    share, late = None, list[str]()
    if validates and rule == "holdout" and "val" not in data.parts:
        share = 0.1 if validation is None else validation
        if found.startswith("time") and share:
            data, share = _held_out(data, share), None
    counts = _counts(data)
    if share:
        counts["val"] = _held_out_count(data, share, seed)
        counts["train"] -= counts["val"]
    if validates and rule == "holdout" and not counts["val"]:
        late.append("No pair could be held out for validation: all epochs are trained.")
    return Divided(data, found, rule, [*_notes(data, counts, found), *late], counts, share or None)


def _check_shares(how: str, test: float | None, validation: float | None, protocol: str) -> None:
    for share, option in ((test, "--test"), (validation, "--validation")):
        if share is not None and not 0 <= share < 1:
            raise GraphrepError(f"{option} {share:g} is no share of the pairs.", hint=f"{option} 0.1")
    if test is not None and how in ("given", "none"):
        raise GraphrepError(f"--test has no effect with --split {how}.", hint="--split random or time")
    if validation and protocol == "published":
        raise GraphrepError(
            "The published protocol holds nothing out for validation.", hint="--protocol holdout, or no --validation"
        )


def _split(data: Interactions, how: str, test: float, seed: int) -> Interactions:
    if how != "random" and data.time is None:
        raise GraphrepError(f"--split {how} needs the time of every interaction.", hint="--time NAME of a column")
    given = {"seed": seed} if how == "random" else {}
    return data.split(val=0.0, test=test, by=_BY[how], **given)  # type: ignore[arg-type]


def _held_out(data: Interactions, share: float) -> Interactions:
    """The same with the last of each user's training pairs for validation."""
    assert data.part is not None
    training = data.rows("train")
    part = data.part.clone()
    inner = _rows(data, training).split(val=share, test=0.0, by="user_time").part
    assert inner is not None
    part[training] = inner
    return data.replace(part=part)


def _held_out_count(data: Interactions, share: float, seed: int) -> int:
    """Pairs that the recommender will hold out at random."""
    from graphrep.methods._recommend_data import training_data

    found = training_data(data, share, True, seed).val
    return 0 if found is None else found.nnz


def _rows(data: Interactions, rows: Any) -> Interactions:
    parts = {key: getattr(data, key) for key in ("user", "item", "weight", "time", "part")}
    return data.replace(**{key: None if part is None else part[rows] for key, part in parts.items()})


def _counts(data: Interactions) -> dict[str, int]:
    sizes = {part: int(data.csr(part).col.numel()) if part in data.parts else 0 for part in PARTS}
    every, training = data.csr(), data.csr("train")
    degree, trained = every.rowptr.diff(), training.rowptr.diff()
    rows = sum(len(data.rows(part)) for part in data.parts)
    seen_items = torch.bincount(training.col.long(), minlength=data.num_items)
    judged = data.csr("test").rowptr.diff() > 0 if "test" in data.parts else torch.zeros_like(trained, dtype=torch.bool)
    return {
        "users": data.num_users,
        "items": data.num_items,
        **sizes,
        "repeated_rows": rows - sum(sizes.values()),
        "single_users": int((degree == 1).sum()),
        "cold_users": int((trained == 0).sum()),
        "cold_test_users": int(((trained == 0) & judged).sum()),
        "cold_items": int((seen_items == 0).sum()),
        "complete_users": int((degree == data.num_items).sum()),
        "test_users": int(judged.sum()),
    }


def _of(count: dict[str, int], what: str) -> str:
    """As in: 3 of 10 users have."""
    kind = what.rpartition("_")[2]
    return f"{counted(count[what], kind[:-1], total=count[kind])} {'has' if count[what] == 1 else 'have'}"


def _notes(data: Interactions, count: dict[str, int], how: str) -> list[str]:
    notes = []
    if count["repeated_rows"]:
        added = "their weights were added" if data.weight is not None else "each pair counts once"
        repeat = "repeats" if count["repeated_rows"] == 1 else "repeat"
        notes.append(f"{counted(count['repeated_rows'], 'row')} {repeat} a pair of user and item: {added}.")
    if count["single_users"] and how in _BY:
        stay = "it stays in training, and they are not judged" if how != "time-all" else "they may be cold"
        notes.append(f"{_of(count, 'single_users')} one interaction: {stay}.")
    if count["cold_users"]:
        tested = f" ({grouped(count['cold_test_users'])} of them are judged)" if count["cold_test_users"] else ""
        notes.append(
            f"{_of(count, 'cold_users')} no training interaction{tested}: their lists are the most popular items."
        )
    if count["cold_items"]:
        notes.append(f"{_of(count, 'cold_items')} no training interaction: nothing is known of them.")
    if count["complete_users"]:
        notes.append(
            f"{_of(count, 'complete_users')} every item: there is nothing left to recommend to them, and they teach "
            "nothing."
        )
    if how == "none":
        notes.append("Nothing was held out for a test (--split none): nothing is judged.")
    elif not count["test"]:
        notes.append("No user has enough interactions for a test pair: nothing is judged.")
    return notes
