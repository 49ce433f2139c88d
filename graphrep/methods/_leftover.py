"""Nodes that the links say nothing about get the cluster that their features are nearest to."""

from __future__ import annotations

import torch
from torch import Tensor

from graphrep.kernels import CSR
from graphrep.methods._feature_rows import Rows, means, times, unit

__all__ = ["assign_by_features", "assign_rest"]


def assign_by_features(rows: Rows, labels: Tensor, groups: Tensor, count: int) -> Tensor:
    """Labels (N,) in which each group of unlabelled nodes has the cluster of the nearest mean.

    Rows are scaled to unit length. The mean row of a group is compared with the mean rows of the clusters (squared
    Euclidean distance, as k-means does); a group without features takes the largest cluster.

    Args:
        rows: (N, F) features.
        labels: (N,) clusters below `count`, -1 for nodes without one; every cluster has a node.
        groups: (N,) a number for each node; unlabelled nodes of the same number stay together.
        count: number of clusters.
    """
    open_ = labels < 0
    names, member = torch.unique(groups[open_], return_inverse=True)
    if not names.numel():
        return labels
    scaled = unit(rows)
    centres = means(scaled, labels, count)
    place = torch.full_like(labels, -1)
    place[open_] = member
    distance = centres.square().sum(1) - 2 * _products(scaled, centres, place, names.numel())
    nearest = distance.argmin(1)
    blank = means(_length(scaled), place, names.numel()).squeeze(1) == 0
    nearest[blank] = int(torch.bincount(labels[~open_], minlength=count).argmax())
    filled = labels.clone()
    filled[open_] = nearest[member]
    return filled


def _products(rows: Rows, centres: Tensor, place: Tensor, count: int) -> Tensor:
    """(count, K) products of the mean row of each group with each centre."""
    return means(times(rows, centres.t()), place, count)


def _length(rows: Rows) -> Tensor:
    """(N, 1) sums of magnitudes, 0 where a row has no feature."""
    if isinstance(rows, CSR):
        assert rows.value is not None
        return times(rows.with_value(rows.value.abs()), torch.ones(rows.num_cols, 1, dtype=torch.float64))
    return rows.abs().sum(1, keepdim=True)


def assign_rest(labels: Tensor, count: int) -> Tensor:
    """Labels with the largest cluster for unlabelled nodes (-1)."""
    largest = int(torch.bincount(labels[labels >= 0], minlength=count).argmax())
    return torch.where(labels < 0, largest, labels)
