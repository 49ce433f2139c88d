"""Items that a user has not met, drawn uniformly by their rank among such items: no rejection, so no endless loop."""

from __future__ import annotations

from torch import Tensor

from graphrep.errors import GraphrepError
from graphrep.kernels._check import check_device, check_index, check_range
from graphrep.kernels._counter import check_seed
from graphrep.kernels._dispatch import implementation
from graphrep.kernels._sorted import sorted_pattern
from graphrep.kernels.csr import CSR
from graphrep.kernels.negatives import cpu, reference  # noqa: F401  (they register themselves)

__all__ = ["uniform_negatives"]


def uniform_negatives(csr: CSR, users: Tensor, *, num: int = 1, seed: int) -> Tensor:
    """For each user `num` columns that are not in its row, drawn independently and with replacement.

    Every such column is equally likely: a rank is drawn among them, and a search in the sorted row finds its column.

    Args:
        csr: rows are users; values and repeated entries play no part. Rows are sorted once and kept with the matrix.
        users: (S,) int32 or int64 rows; a row that stands twice draws twice.
        num: columns per user, at least 0.
        seed: any integer. A draw depends on the seed and its place in the result alone, not on threads or backend.

    Returns:
        (S, num) int64 columns; -1 throughout where a user's row holds every column. O(S num log(degree)).

    Raises:
        IndexRangeError, DTypeError, ShapeError, DeviceError, GraphrepError: users are no rows, or `num` is negative.

    Example:
        >>> import torch
        >>> csr = CSR.from_edge_index(torch.tensor([[0, 2, 0, 1, 2], [0, 0, 1, 1, 1]]), size=(3, 2))
        >>> uniform_negatives(csr, torch.tensor([0, 1]), num=2, seed=0).tolist()
        [[1, 1], [-1, -1]]
    """
    check_index(users, "users")
    check_range(users, csr.num_rows, "users")
    check_device(csr.device, users=users)
    if isinstance(num, bool) or not isinstance(num, int) or num < 0:
        raise GraphrepError(f"num must be an integer of 0 or more; got {num!r}.", hint="num=1")
    known = sorted_pattern(csr)
    draw = implementation("uniform_negatives", csr.device)
    out: Tensor = draw(known.rowptr, known.col, csr.num_cols, users.long(), num, check_seed(seed))
    return out
