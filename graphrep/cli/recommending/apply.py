"""What `graphrep recommend apply` does: lists of a saved recommender for new or grown histories, without training."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphrep.cli.console import Console
from graphrep.cli.nodes import id_array
from graphrep.cli.recommending.counting import counted
from graphrep.cli.recommending.inputs import open_interactions
from graphrep.cli.recommending.lists import Lists, check_target, choose_target, write_lists
from graphrep.cli.recommending.wanted import chosen_users, parse_at
from graphrep.cli.recommending.words import print_lists
from graphrep.cli.settings import read_config
from graphrep.cli.system import peak_memory, use_threads, versions
from graphrep.data.check import grouped
from graphrep.data.interactions import Interactions
from graphrep.errors import CheckpointMismatchError, GraphrepError

__all__ = ["apply_recommender"]

Array = np.ndarray[Any, Any]
_NAMED = 5  # unknown items that are named


@dataclass(frozen=True)
class Matched:
    """New interactions in the numbers of a model's items.

    Attributes:
        data: rows with a known item; users of the new data.
        unknown: ids of items that the model does not know.
        lost: rows with such an item.
        grown: users that were in training, too.
    """

    data: Interactions
    unknown: Array
    lost: int
    grown: int


def apply_recommender(
    console: Console, folder: Path, run: Mapping[str, Any], read: Mapping[str, Any], asked: Mapping[str, Any]
) -> None:
    """Lists for the users of new interactions, by one propagation of the item vectors.

    Args:
        console: where words go.
        folder: of a run of ``graphrep recommend``, or the folder ``model`` in it.
        run: graph, out, format, threads, data_dir of the command line.
        read: options of the reader.
        asked: at, users, include_seen, implicit, min_rating; without the last two those of the run, for a table with
            ratings.

    Raises:
        FileFormatError: no recommender in the folder.
        CheckpointMismatchError: no item is known to the model.
        GraphrepError: no data.
    """
    from graphrep.methods.recommender import load_recommender

    use_threads(run.get("threads"))
    if not run.get("graph"):
        raise GraphrepError("No interactions were given.", hint="graphrep recommend apply runs/recommend-old new.csv")
    spec, k = str(run["graph"]), parse_at(asked.get("at"))[-1]
    model = load_recommender(folder if (folder / "model.toml").is_file() else folder / "model")
    told = bool(asked.get("implicit")) or asked.get("min_rating") is not None
    rule = asked if told else _rule(folder)
    inputs = open_interactions(
        spec, data_dir=run.get("data_dir"), read=read, implicit=bool(rule.get("implicit")),
        min_rating=rule.get("min_rating"), needs_ratings=told,
    )  # fmt: skip
    target = choose_target(run.get("out"), run.get("format"), Path(f"{inputs.name}.recommendations"))
    check_target(*target, spec)
    for line in [*inputs.lines, *(f"  {note}" for note in inputs.notes)]:
        console.say(line)
    user_ids = id_array(inputs.data.user_ids, inputs.data.num_users)
    users = chosen_users(asked.get("users"), user_ids)
    matched = match(inputs.data, model)
    notes = _notes(matched, folder)
    for note in notes:
        console.say(f"  {note}")
    started = time.perf_counter()
    known = matched.data.csr(binarize=True)
    items, scores = model.recommend_for(known, k, exclude_seen=not asked.get("include_seen"))
    cold = np.asarray(known.rowptr.diff() == 0)
    lists = Lists(users, np.asarray(items)[users], np.asarray(scores.double())[users], cold[users])
    seconds = time.perf_counter() - started
    if lists.cold.any():
        notes.append(f"{counted(int(lists.cold.sum()), 'user')} without a known item: the most popular items for them.")
        console.say(f"  {notes[-1]}")
    item_ids = id_array(model.item_ids_, model.num_items_)
    write_lists(target[0], target[1], lists, user_ids, item_ids)
    head = f"{type(model).__name__}  {counted(len(users), 'user')}  from {folder}  "
    console.say(f"{head:.<70} {seconds:.2f} s   peak {peak_memory() / 2**30:.2f} GiB")
    print_lists(console, lists, user_ids, item_ids)
    console.say(f"Wrote {target[0]} ({grouped(lists.rows)} rows: user, rank, item, score)")
    payload = {
        "out": str(target[0]), "model": str(folder), "method": type(model).__name__.lower(), "at": k,
        "lists": {"users": len(users), "rows": lists.rows, "short": lists.short, "cold": int(lists.cold.sum())},
        "unknown_items": len(matched.unknown), "unknown_rows": matched.lost, "grown_users": matched.grown,
        "notes": notes, "seconds": round(seconds, 6), "versions": versions(),
    }  # fmt: skip
    console.finish(payload, path=target[0])


def _rule(folder: Path) -> Mapping[str, Any]:
    """What counted as an interaction in the run that made the model, where its folder tells."""
    for place in (folder / "config.toml", folder.parent / "config.toml"):
        if place.is_file() and (folder / "model.toml").is_file() == (place.parent != folder):
            return read_config(place)["recommend"]
    return {}


def match(data: Interactions, model: Any) -> Matched:
    """New rows in the numbers of the model's items; of users who were in training, what they had then is added.

    Raises:
        CheckpointMismatchError: no item is known.
    """
    theirs, ours = id_array(data.item_ids, data.num_items), id_array(model.item_ids_, model.num_items_)
    place = _places(theirs, ours)
    item = place[np.asarray(data.item)]
    known = item >= 0
    if not known.any():
        some = ", ".join(str(name) for name in theirs[:_NAMED].tolist())
        raise CheckpointMismatchError(
            f"The model knows none of these {grouped(len(theirs))} items ({some}, ...); "
            f"its {grouped(len(ours))} items look like {ours[0]}.",
            hint="ids as they were in training; --item NAME if another column holds them",
        )
    user = np.asarray(data.user)
    before, had = _earlier(data, model)
    return Matched(
        Interactions(
            np.concatenate([user[known], before]), np.concatenate([item[known], had]), num_users=data.num_users,
            num_items=len(ours),
        ),
        theirs[place < 0],
        int((~known).sum()),
        len(np.unique(before)),
    )  # fmt: skip


def _earlier(data: Interactions, model: Any) -> tuple[Array, Array]:
    """Rows (user of `data`, item of the model) of what users who were in training had then."""
    place = _places(id_array(data.user_ids, data.num_users), id_array(model.user_ids_, model.num_users_))
    seen = model.seen_
    same = np.flatnonzero(place >= 0)
    back = np.full(model.num_users_, -1, dtype=np.int64)
    back[place[same]] = same
    user = back[np.asarray(seen.row().long())]
    return user[user >= 0], np.asarray(seen.col.long())[user >= 0]


def _places(ids: Array, known: Array) -> Array:
    """For each id its place in `known`, -1 where it is not there; text is compared with text."""
    if ids.dtype.kind != known.dtype.kind:
        ids, known = ids.astype(np.str_), known.astype(np.str_)
    order = np.argsort(known, kind="stable")
    at = np.searchsorted(known[order], ids).clip(max=max(len(known) - 1, 0))
    return np.where(known[order[at]] == ids, order[at], -1)


def _notes(matched: Matched, folder: Path) -> list[str]:
    notes = []
    if len(matched.unknown):
        some = ", ".join(str(name) for name in matched.unknown[:_NAMED].tolist())
        more = ", ..." if len(matched.unknown) > _NAMED else ""
        notes.append(
            f"{counted(len(matched.unknown), 'item')} unknown to {folder} ({some}{more}): "
            f"{counted(matched.lost, 'row')} left out."
        )
    if matched.grown:
        notes.append(
            f"{counted(matched.grown, 'user')} known from the training: what they had then was added to these rows."
        )
    return notes
