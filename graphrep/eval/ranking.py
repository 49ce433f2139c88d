"""Top-K recommendation, every item ranked: recall, NDCG and their kin, averaged over users, in blocks of users."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphrep.errors import GraphrepError, MissingLabelsError, ShapeError, UnknownNameError
from graphrep.eval._arrays import as_ks
from graphrep.eval._result import Result
from graphrep.eval._topk import as_csr, as_tensor, entries, score_block, top_columns
from graphrep.kernels import CSR

__all__ = ["RankingScores", "rank_items", "topk_metrics"]

Scorer = Callable[[Tensor], Tensor]  # user ids -> (len(ids), I) scores
_NAMES = ("recall", "precision", "ndcg", "map", "hit_rate", "mrr")
_OFFICIAL_BATCH = 256  # users to a batch of the published program


@dataclass(frozen=True, eq=False, repr=False)
class RankingScores(Result):
    """Each score by K, averaged over the `num_users` users with a test item (in the way asked for).

    `per_user[name][K]` (U,) is there where it was asked for.

    Example:
        >>> import torch
        >>> from graphrep.kernels import CSR
        >>> test = CSR.from_edge_index(torch.tensor([[1], [0]]), size=(2, 1))
        >>> print(topk_metrics([[0.1, 0.9]], None, None, test, ks=(1,)).recall)
        {1: 1.0}
    """

    recall: dict[int, float]
    precision: dict[int, float]
    ndcg: dict[int, float]
    map: dict[int, float]
    hit_rate: dict[int, float]
    mrr: dict[int, float]
    num_users: int
    per_user: dict[str, dict[int, NDArray[np.float64]]] | None = None


def topk_metrics(
    users: Any,
    items: Any,
    train: Any,
    test: Any,
    *,
    ks: Iterable[int] = (20, 40),
    block_size: int = 4096,
    per_user: bool = False,
    average: str = "users",
) -> RankingScores:
    """Scores of the K best items of each user, out of all items but the user's training ones.

    With T the user's test items and rel_i = 1 where the i-th item is in T: recall = hits / |T|; precision = hits / K;
    NDCG = sum_i rel_i / log2(i + 1) over its largest value with min(K, |T|) hits; MAP = sum_i precision@i rel_i /
    min(K, |T|); hit_rate = any hit; MRR = 1 / position of the first hit. Each user with a test item counts once.
    Equal scores: the lower item id first. Training items, and items scored -inf, are never recommended.

    Args:
        users: (U, d) vectors; or, with ``items=None``, a (U, I) score matrix or a function from user ids to scores.
        items: (I, d) vectors, scored by dot product, or None.
        train: CSR (or scipy matrix) with rows users: items to leave out; None for none.
        test: CSR with rows users: items to find; repeated entries count once.
        ks: cut-offs.
        block_size: users scored at once; block_size * I scores are held.
        per_user: also return each user's scores, NaN for users without a test item.
        average: ``"users"``: each user with a test item counts once; ``"official"``: as LightGCL's published program,
            the mean over the test users of every 256 users in order, then the mean of those batches, so that users of
            batches with few test users count more. The two are not comparable: up to a few per cent apart. A batch
            without a test user, on which that program divides by zero, is left out.

    Raises:
        NonFiniteError: a NaN score.
        MissingLabelsError: no user has a test item.
        ShapeError: sizes differ.
        UnknownNameError: another `average`.

    Source: `average`: Cai, Huang, Xia, Ren, "LightGCL", ICLR 2023, and its program.

    Example:
        >>> import scipy.sparse as sp
        >>> train, test = sp.csr_matrix([[1, 0, 0]]), sp.csr_matrix([[0, 0, 1]])
        >>> result = topk_metrics([[0.9, 0.5, 0.4]], None, train, test, ks=(1, 2))
        >>> result.recall, result.mrr
        ({1: 0.0, 2: 1.0}, {1: 0.0, 2: 0.5})
    """
    cuts = as_ks(ks)
    if not cuts or block_size < 1:
        raise GraphrepError(
            f"at least one K and one user a block; got ks={cuts}, block_size={block_size}.", hint="ks=(20,)"
        )
    if average not in ("users", "official"):
        raise UnknownNameError(f'average is "{average}".', hint='"users" or "official"')
    scorer, num_users, num_items, device = _scorer(users, items, test)
    wanted = as_csr(test, "test", num_rows=num_users, num_cols=num_items, device=device)
    seen = None if train is None else as_csr(train, "train", num_rows=num_users, num_cols=num_items, device=device)
    keys = torch.unique(wanted.row().long() * num_items + wanted.col.long())  # sorted, each (user, item) once
    size = torch.bincount(keys // num_items, minlength=num_users)
    scored = size.nonzero().squeeze(1)
    if not len(scored):
        raise MissingLabelsError("no user has a test item.", hint="is test empty, or are its rows not the users?")
    found = torch.full((len(_NAMES), len(cuts), num_users), torch.nan, dtype=torch.float64, device=device)
    for start in range(0, len(scored), block_size):
        block = scored[start : start + block_size]
        best = _recommend(scorer, block, num_items, seen, max(cuts))
        key = (block[:, None] * num_items + best).clamp(min=0)
        place = torch.searchsorted(keys, key).clamp(max=len(keys) - 1)
        relevant = (keys[place] == key) & (best >= 0)
        found[:, :, block] = _block_metrics(relevant, size[block], cuts)
    means = (found[:, :, scored].mean(dim=2) if average == "users" else _batch_means(found, scored)).tolist()
    each = found.cpu().numpy() if per_user else None
    mean: dict[str, Any] = {n: dict(zip(cuts, means[m], strict=True)) for m, n in enumerate(_NAMES)}
    return RankingScores(
        **mean,
        num_users=len(scored),
        per_user=None if each is None else {n: dict(zip(cuts, each[m], strict=True)) for m, n in enumerate(_NAMES)},
    )


def rank_items(scores: Any, train: Any = None, *, k: int | None = None) -> NDArray[np.int64]:
    """(U, k) item ids of each user: score descending, then id ascending; the user's training items last, by id.

    Args:
        scores: (U, I) real scores, no NaN.
        train: CSR (or scipy matrix) with rows users, or None.
        k: how many; default all I.

    Example:
        >>> rank_items([[0.5, 0.9, 0.5]]).tolist()
        [[1, 0, 2]]
    """
    given = as_tensor(scores, "scores")
    num_users, num_items = given.shape
    length = num_items if k is None else int(k)
    if not 0 <= length <= num_items:
        raise ShapeError(f"k = {k} must lie between 0 and the number of items {num_items}.", hint="k=None for all")
    everyone = torch.arange(num_users, device=given.device)
    order = score_block(given, everyone).sort(dim=1, descending=True, stable=True).indices
    if train is not None:
        seen = as_csr(train, "train", num_rows=num_users, num_cols=num_items, device=given.device)
        known = torch.zeros(given.shape, dtype=torch.bool, device=given.device)
        known[entries(seen, everyone)] = True
        # Unknown items in their order, then the known ones by id.
        place = torch.where(known, num_items + torch.arange(num_items, device=given.device), order.argsort(dim=1))
        order = place.argsort(dim=1)
    ranked: NDArray[np.int64] = order[:, :length].cpu().numpy()
    return ranked


def _scorer(users: Any, items: Any, test: Any) -> tuple[Scorer, int, int, torch.device]:
    """How to score users, how many users and items there are, and where."""
    if callable(users) and not isinstance(users, Tensor):
        if items is not None:
            raise GraphrepError("items must be None when users is a function.", hint="items=None")
        first = as_tensor(users(torch.zeros(1, dtype=torch.int64)), "scores")
        return (lambda ids: as_tensor(users(ids), "scores").clone()), int(test.shape[0]), first.shape[1], first.device
    left = as_tensor(users, "users")
    if items is None:
        return (lambda ids: left[ids]), left.shape[0], left.shape[1], left.device
    right = as_tensor(items, "items").to(device=left.device, dtype=left.dtype)
    if left.shape[1] != right.shape[1]:
        raise ShapeError(
            f"users {tuple(left.shape)} and items {tuple(right.shape)} differ in width.", hint="same model"
        )
    return (lambda ids: left[ids] @ right.t()), left.shape[0], right.shape[0], left.device


def _recommend(scorer: Scorer, block: Tensor, num_items: int, seen: CSR | None, k: int) -> Tensor:
    """(len(block), min(k, I)) recommended items; -1 where fewer than k are left."""
    given = scorer(block)
    if given.shape != (len(block), num_items):
        raise ShapeError(
            f"scores of {len(block)} users have shape {tuple(given.shape)}.", hint=f"({len(block)}, {num_items})"
        )
    scores = score_block(given, block)
    if seen is not None:
        scores[entries(seen, block)] = -torch.inf  # scorers return fresh memory
    best = top_columns(scores, min(k, num_items))
    return torch.where(scores.gather(1, best) > -torch.inf, best, -1)


def _block_metrics(relevant: Tensor, size: Tensor, cuts: tuple[int, ...]) -> Tensor:
    """(6, K, users) scores from the (users, max K) hits; `size` (users,) is |T|."""
    hit = relevant.double()
    position = torch.arange(1, hit.shape[1] + 1, device=hit.device, dtype=torch.float64)
    discount = 1 / torch.log2(position + 1)
    ahead = torch.cat([discount.new_zeros(1), discount.cumsum(0)])
    rows = []
    for k in cuts:
        h, where, total = hit[:, :k], position[:k], size.double()
        bound = size.clamp(max=k)
        ideal = _ideal(ahead, bound, k)
        first = (h / where).max(dim=1).values
        count = h.sum(1)
        average = (h.cumsum(1) / where * h).sum(1) / bound
        rows.append(
            torch.stack(
                [count / total, count / k, (h * discount[:k]).sum(1) / ideal, average, (count > 0).double(), first]
            )
        )
    return torch.stack(rows, dim=1)


def _batch_means(found: Tensor, scored: Tensor) -> Tensor:
    """(6, K) means over batches of users in order of the means of their `scored` users; `found` is (6, K, U)."""
    batch = scored // _OFFICIAL_BATCH
    count = torch.bincount(batch)
    total = found.new_zeros(*found.shape[:2], len(count)).index_add_(2, batch, found[:, :, scored])
    return (total[:, :, count > 0] / count[count > 0]).mean(dim=2)


def _ideal(ahead: Tensor, bound: Tensor, k: int) -> Tensor:
    """Largest DCG with `bound` hits, also where `bound` exceeds the number of items in the list."""
    if int(bound.max()) < len(ahead):
        return ahead[bound]
    position = torch.arange(1, k + 1, device=ahead.device, dtype=torch.float64)
    return torch.cat([ahead.new_zeros(1), (1 / torch.log2(position + 1)).cumsum(0)])[bound]
