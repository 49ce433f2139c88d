"""The split of a run: that of the user, or one of its own by a seed or by time; negatives; and the file of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphrep.cli.linking.inputs import Inputs
from graphrep.data.check import grouped
from graphrep.data.links import LinkSplit
from graphrep.data.split import EdgeSplit, split_edges
from graphrep.data.split_files import write_split
from graphrep.methods._link_data import non_links, ranks_of_links

__all__ = ["SHARES", "Divided", "divide", "write_parts"]

SHARES = (85.0, 5.0, 10.0)


@dataclass(frozen=True)
class Divided:
    """The parts of one run.

    Attributes:
        split: with negatives for validation and test.
        fitted_on: what predictors are given; the same but for a split that leaks.
        how: in words.
        seed: of the draws.
        notes: sentences on what a user must know.
    """

    split: LinkSplit
    fitted_on: LinkSplit
    how: str
    seed: int
    notes: list[str]

    @property
    def counts(self) -> dict[str, int]:
        """Nodes, links of each part, negatives."""
        split = self.split
        held = {key: 0 if (p := getattr(split, key)) is None else p.shape[1] for key in _HELD}
        return {"nodes": split.graph.num_nodes, "train": split.graph.num_edges // 2, **held}

    def line(self) -> str:
        """One line: the links of each part, and the negatives."""
        count = self.counts
        links = f"{grouped(count['train'])} training / {grouped(count['val_pos'])} validation / "
        negatives = f"{grouped(count['val_neg'])} and {grouped(count['test_neg'])}"
        return f"{links}{grouped(count['test_pos'])} test links, negatives: uniform, {negatives}   {self.how}"


_HELD = ("val_pos", "val_neg", "test_pos", "test_neg")


def divide(
    inputs: Inputs, *, shares: tuple[float, ...] = SHARES, features: str | None = None, seed: int = 0,
    allow_leak: bool = False,
) -> Divided:  # fmt: skip
    """The split of a seed: the given one, or links held out at random or the latest, with uniform negatives.

    Args:
        inputs: what was read.
        shares: of training, validation and test links.
        features: see :func:`graphrep.cli.features.with_features`; made from the training links alone.
        seed: of the draws.
        allow_leak: validation and test links that are training links too are kept from the training.

    Raises:
        GraphrepError: shares that do not add up, too few pairs that are no links, no such features.
    """
    if inputs.given is not None:
        split, how = _with_negatives(inputs.given, seed), "given split"
    else:
        made = split_edges(inputs.graph, shares=shares, negatives=0, directed=False, edge_time=inputs.times, seed=seed)
        bare = made.link_split(inputs.graph).replace(val_neg=None, test_neg=None)
        split = _with_negatives(bare, seed)  # none for training, which draws its own: dense graphs have few
        told = "/".join(f"{share:g}" for share in shares)
        how = f"split {told} " + (f"(seed {seed})" if inputs.times is None else "by time")
    notes = []
    if features is not None:
        from graphrep.cli.features import with_features

        split = split.replace(graph=with_features(split.graph, features, seed=seed))
        if not Path(features).is_file():
            notes.append(f"The features ({features}) are made from the training links alone.")
    if inputs.given is None and (split.test_pos is None or not split.test_pos.numel()):
        notes.append("No links are held out for a test: nothing is judged.")
    for part, name in (("val", "validation"), ("test", "test")):
        pos, neg = getattr(split, f"{part}_pos"), getattr(split, f"{part}_neg")
        if inputs.given is None and pos is not None and pos.numel() > (0 if neg is None else neg.numel()):
            notes.append(f"There are fewer pairs without a link than {name} links: all of them are negatives.")
    alone = int((torch.bincount(split.graph.edge_index[0], minlength=split.graph.num_nodes) == 0).sum())
    if alone:
        notes.append(f"{grouped(alone)} of {grouped(split.graph.num_nodes)} nodes have no training link.")
    return Divided(split, _leakless(split) if allow_leak else split, how, seed, notes)


def _with_negatives(split: LinkSplit, seed: int) -> LinkSplit:
    """A given split with as many uniform negatives as links where it has none; they do not overlap."""
    parts = [split.graph.edge_index, *(p for key in _HELD if (p := getattr(split, key)) is not None)]
    used = ranks_of_links(torch.cat(parts, dim=1), split.graph.num_nodes)
    rng, changes = np.random.default_rng(seed), {}
    for part in ("test", "val"):
        pos = getattr(split, f"{part}_pos")
        if pos is None or not pos.numel() or getattr(split, f"{part}_neg") is not None:
            continue
        found = non_links(used, pos.shape[1], split.graph.num_nodes, rng, repeat=False)
        changes[f"{part}_neg"] = found if found.numel() else None
        used = np.union1d(used, ranks_of_links(found, split.graph.num_nodes))
    return split.replace(**changes)


def _leakless(split: LinkSplit) -> LinkSplit:
    """The same without held-out links that are training links, so that a method which refuses them can be trained."""
    changes: dict[str, Any] = {"test_pos": None, "test_neg": None}
    if split.val_pos is not None:
        count = split.graph.num_nodes
        train, val = (_keys(part, count) for part in (split.graph.edge_index, split.val_pos))
        kept = ~torch.isin(val, train)
        changes["val_pos"] = split.val_pos[:, kept] if bool(kept.any()) else None
        if changes["val_pos"] is None:
            changes["val_neg"] = None
    return split.replace(**changes)


def _keys(pairs: Tensor, count: int) -> Tensor:
    return pairs.min(0).values * count + pairs.max(0).values


def write_parts(divided: Divided, path: Path) -> None:
    """Writes the split so that ``graphrep linkpred --split FILE`` takes it again."""
    split = divided.split
    edges, none = split.graph.edge_index, torch.zeros(2, 0, dtype=torch.int64)
    held = {key: none if (p := getattr(split, key)) is None else p for key in _HELD}
    made = EdgeSplit(
        edges[:, edges[0] < edges[1]], held["val_pos"], held["test_pos"], none, held["val_neg"], held["test_neg"],
        num_nodes=split.graph.num_nodes, directed=False, seed=divided.seed,
    )  # fmt: skip
    write_split(made, path, ids=None if split.graph.ids is None else np.asarray(split.graph.ids))
