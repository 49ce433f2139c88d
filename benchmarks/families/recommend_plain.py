"""LightGCL's training step, sampler and evaluation in plain form, as its program has them, from their definition.

The step builds the matrices of logits of the batch against all users and all items, takes exponentials of them as they
are, transposes the COO adjacency at each layer, and has the penalty over the whole tables. Negatives are drawn by
rejection in Python, a pair at a time. Evaluation sorts all items for 256 users at a time and looks hits up in lists.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["Step", "evaluate", "loss_by_blocks", "plain_loss", "sample_negatives"]

Batch = tuple[Tensor, Tensor, Tensor]  # users, met items, other items
TEST_USERS = 256


class Step:
    """What the program keeps over the training: the normalised adjacency as COO, and the factors of its SVD."""

    def __init__(self, adj: Any, svd: tuple[Tensor, Tensor, Tensor], settings: Any, dtype: torch.dtype) -> None:
        index = torch.stack([adj.row().long(), adj.col.long()])
        self.adj = torch.sparse_coo_tensor(index, adj.value.to(dtype), adj.shape, check_invariants=False).coalesce()
        u, s, v = (part.to(dtype) for part in svd)
        self.ut, self.vt, self.us, self.vs = u.t(), v.t(), u * s, v * s
        self.settings = settings

    def views(self, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Sums over the levels of the main view and of the SVD view, users and items of each."""
        main, dense = [(user, item)], [(user, item)]
        for _ in range(self.settings.num_layers):
            u, i = main[-1]
            main.append((torch.spmm(self.adj, i), torch.spmm(self.adj.transpose(0, 1), u)))
            dense.append((self.us @ (self.vt @ i), self.vs @ (self.ut @ u)))
        (e_u, e_i), (g_u, g_i) = ([sum(side) for side in zip(*levels, strict=True)] for levels in (main, dense))
        return e_u, e_i, g_u, g_i  # type: ignore[return-value]


def plain_loss(step: Step, user: Tensor, item: Tensor, batch: Batch) -> Tensor:
    """BPR, the contrast with T x I and 2 T x J logits, and the penalty."""
    settings = step.settings
    uids, pos, neg = batch
    iids = torch.cat([pos, neg])
    e_u, e_i, g_u, g_i = step.views(user, item)
    score = torch.log(torch.exp(g_u[uids] @ e_u.t() / settings.temperature).sum(1) + 1e-8).mean()
    score = score + torch.log(torch.exp(g_i[iids] @ e_i.t() / settings.temperature).sum(1) + 1e-8).mean()
    own = torch.clamp((g_u[uids] * e_u[uids]).sum(1) / settings.temperature, -5.0, 5.0).mean()
    own = own + torch.clamp((g_i[iids] * e_i[iids]).sum(1) / settings.temperature, -5.0, 5.0).mean()
    return _with_rest(step, (user, item), (e_u, e_i), batch, score - own)


def _with_rest(
    step: Step, tables: tuple[Tensor, Tensor], main: tuple[Tensor, Tensor], batch: Batch, contrast: Any
) -> Tensor:
    uids, pos, neg = batch
    anchor = main[0][uids]
    gap = (anchor * main[1][pos]).sum(-1) - (anchor * main[1][neg]).sum(-1)
    penalty = sum(table.norm(2).square() for table in tables)
    settings = step.settings
    loss: Tensor = -gap.sigmoid().log().mean() + settings.cl_weight * contrast + settings.reg_weight * penalty
    return loss


def loss_by_blocks(
    step: Step, user: Tensor, item: Tensor, batch: Batch, rows: int = 128
) -> tuple[Tensor, Tensor, Tensor]:
    """The same loss and its gradients in both tables, the contrast a few rows of logits at a time."""
    settings = step.settings
    uids, pos, neg = batch
    views = step.views(user, item)
    leaves = [view.detach().requires_grad_() for view in views]
    total = 0.0
    for nodes, main, view in ((uids, leaves[0], leaves[2]), (torch.cat([pos, neg]), leaves[1], leaves[3])):
        for part in nodes.split(rows):
            query = view[part]
            own = torch.clamp((query * main[part]).sum(1) / settings.temperature, -5.0, 5.0)
            block = (torch.logsumexp(query @ main.t() / settings.temperature, 1) - own).sum() / len(nodes)
            block.backward()  # type: ignore[no-untyped-call]
            total += float(block.detach())
    rest = _with_rest(step, (user, item), (views[0], views[1]), batch, 0.0)
    outward = [settings.cl_weight * leaf.grad for leaf in leaves]
    one = torch.ones((), dtype=rest.dtype)
    found = torch.autograd.grad([rest, *views], [user, item], [one, *outward])
    return rest.detach() + settings.cl_weight * total, found[0], found[1]


def sample_negatives(users: Any, known: dict[tuple[int, int], float], num_items: int, rng: Any) -> Any:
    """An item for each pair's user that is not among its own, by trying until one is not."""
    found = np.zeros(len(users), dtype=np.int64)
    for k, user in enumerate(users):
        item = rng.integers(num_items)
        while (user, item) in known:
            item = rng.integers(num_items)
        found[k] = item
    return found


def evaluate(users: Tensor, items: Tensor, train: Any, test: list[list[int]], ks: tuple[int, ...]) -> Tensor:
    """(2 len(ks),) recall and NDCG at each K: means of batches of 256 users, then of those.

    Args:
        users: (U, d).
        items: (I, d).
        train: (U, I) scipy CSR matrix, whose entries are masked.
        test: items to find of each user.
        ks: cut-offs.
    """
    batches = [np.arange(start, min(start + TEST_USERS, len(users))) for start in range(0, len(users), TEST_USERS)]
    total = np.zeros(2 * len(ks))
    for batch in batches:
        scores = users[batch] @ items.t()
        mask = torch.from_numpy(train[batch].toarray()).float()
        scores = scores * (1 - mask) - 1e8 * mask
        predicted = scores.argsort(descending=True).numpy()
        total += [value for k in ks for value in _batch_scores(batch, predicted, k, test)]
    return torch.from_numpy(total / len(batches))


def _batch_scores(batch: Any, predicted: Any, k: int, test: list[list[int]]) -> tuple[float, float]:
    recall, ndcg, count = 0.0, 0.0, 0
    for row, user in enumerate(batch):
        label = test[user]
        if not label:
            continue
        best, hits, dcg = list(predicted[row][:k]), 0, 0.0
        ideal = sum(np.reciprocal(np.log2(place + 2)) for place in range(min(k, len(label))))
        for item in label:
            if item in best:
                hits += 1
                dcg += np.reciprocal(np.log2(best.index(item) + 2))
        recall, ndcg, count = recall + hits / len(label), ndcg + dcg / ideal, count + 1
    return recall / count, ndcg / count
