"""Which user met which item: interactions with weights, times, external ids, and the parts of a split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from graphrep.data import _parts, check
from graphrep.data._interaction_split import split_codes
from graphrep.errors import DTypeError, GraphrepError, NonFiniteError, ShapeError, UnknownNameError
from graphrep.kernels import CSR
from graphrep.kernels._check import check_range

if TYPE_CHECKING:
    from graphrep.typing import ArrayLike

__all__ = ["PARTS", "Interactions"]

PARTS = ("train", "val", "test")
"""Names of the parts, in the order of their numbers."""

_FIELDS = ("user", "item", "weight", "time", "part", "num_users", "num_items", "user_ids", "item_ids", "name")


class Interactions:
    """Interactions of users with items, one per row; immutable (:meth:`replace` gives a changed copy).

    Args:
        user: (R,) user numbers from 0; stored as int64.
        item: (R,) item numbers from 0. Order and repeats of rows are kept.
        weight: (R,) finite numbers; default none (every row counts 1). Integers become float32.
        time: (R,) when each took place, any integers or real numbers that ascend with time.
        part: (R,) 0 (train), 1 (val) or 2 (test), or these words; default none: the rows are not split.
        num_users: U; default the length of `user_ids`, else the largest number + 1.
        num_items: I, likewise.
        user_ids: (U,) distinct external ids, integers or text; default none, which means 0..U-1.
        item_ids: (I,), likewise.
        name: what the set is called in reports.

    Attributes:
        num_rows: R.

    Raises:
        ShapeError, DTypeError, IndexRangeError, NonFiniteError: the parts do not fit together.
        UnknownNameError: `part` has another word.

    Example:
        >>> seen = Interactions([0, 0, 1, 0], [2, 0, 1, 2], part=["train", "train", "train", "test"])
        >>> seen
        Interactions(2 users, 3 items, 4 rows; train 3, test 1)
        >>> seen.csr("train").to_scipy().toarray().tolist()
        [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    """

    __slots__ = (*_FIELDS, "_cache")

    user: Tensor
    item: Tensor
    weight: Tensor | None
    time: Tensor | None
    part: Tensor | None
    num_users: int
    num_items: int
    user_ids: Tensor | np.ndarray[Any, Any] | None
    item_ids: Tensor | np.ndarray[Any, Any] | None
    name: str | None
    _cache: dict[tuple[str | None, bool], CSR]

    def __init__(
        self,
        user: ArrayLike,
        item: ArrayLike,
        weight: ArrayLike | None = None,
        time: ArrayLike | None = None,
        *,
        part: ArrayLike | Sequence[str] | None = None,
        num_users: int | None = None,
        num_items: int | None = None,
        user_ids: ArrayLike | Sequence[str] | None = None,
        item_ids: ArrayLike | Sequence[str] | None = None,
        name: str | None = None,
    ) -> None:
        users, items = _numbers(user, "user"), _numbers(item, "item")
        if len(users) != len(items):
            raise ShapeError(f"user has {len(users)} rows and item has {len(items)}.", hint="one of each per row")
        self._put(user=users, item=items, name=name, _cache={})
        self._put(user_ids=_parts.as_ids(user_ids), item_ids=_parts.as_ids(item_ids))
        for key, index, count in (("user", users, num_users), ("item", items, num_items)):
            ids = getattr(self, f"{key}_ids")
            if count is None:
                count = len(ids) if ids is not None else int(index.max()) + 1 if index.numel() else 0
            check_range(index, int(count), key)
            if ids is not None:
                with check.about(f"{key}_ids"):
                    check.check_ids(ids, int(count), f"the set of {key}s")
            self._put(**{f"num_{key}s": int(count)})
        with check.about("weight"):
            self._put(weight=_parts.as_weight(weight, self.num_rows))
        self._put(time=self._times(time), part=self._codes(part))

    def _put(self, **parts: Any) -> None:
        for key, value in parts.items():
            object.__setattr__(self, key, value)

    def _times(self, time: Any) -> Tensor | None:
        if time is None:
            return None
        tensor = _parts.as_tensor(time, "time")
        if tensor.dim() != 1 or len(tensor) != self.num_rows or tensor.is_complex() or tensor.dtype == torch.bool:
            raise ShapeError(
                f"time has shape {tuple(tensor.shape)} and dtype {tensor.dtype}; there are {self.num_rows} rows.",
                hint="one number per row",
            )
        if check.first_non_finite(tensor):
            raise NonFiniteError("time has NaN or infinity.", hint="leave those rows out")
        return tensor

    def _codes(self, part: Any) -> Tensor | None:
        if part is None:
            return None
        array = np.asarray(part) if not isinstance(part, Tensor) else None
        if array is not None and array.dtype.kind in "OUT":
            known = {word: number for number, word in enumerate(PARTS)}
            wrong = next((word for word in array.tolist() if word not in known), None)
            if wrong is not None:
                raise UnknownNameError(f"part has {wrong!r}.", hint=", ".join(PARTS))
            part = np.array([known[word] for word in array.tolist()], dtype=np.int8)
        codes = _numbers(part, "part")
        if len(codes) != self.num_rows:
            raise ShapeError(f"part has {len(codes)} rows but there are {self.num_rows}.", hint="one per row")
        check_range(codes, len(PARTS), "part")
        return codes.to(torch.int8)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Interactions is immutable; {name} cannot be set (replace({name}=...) gives a copy)")

    @classmethod
    def coerce(cls, data: Any) -> Interactions:
        """Interactions from Interactions, a pandas table, a scipy matrix, a CSR (rows users) or PyG ``HeteroData``.

        Raises:
            DTypeError: an object of another kind.
        """
        from graphrep.data.coerce import as_interactions

        return as_interactions(data)

    @classmethod
    def from_pandas(cls, frame: Any, **columns: Any) -> Interactions:
        """See :func:`graphrep.interop.interactions_from_pandas`."""
        from graphrep.data.coerce import convert

        result: Interactions = convert("interactions_from_pandas", frame, **columns)
        return result

    @classmethod
    def from_scipy(cls, matrix: Any, **ids: Any) -> Interactions:
        """See :func:`graphrep.interop.interactions_from_scipy`."""
        from graphrep.data.coerce import convert

        result: Interactions = convert("interactions_from_scipy", matrix, **ids)
        return result

    @classmethod
    def from_pyg(cls, data: Any, **options: Any) -> Interactions:
        """See :func:`graphrep.interop.interactions_from_pyg`."""
        from graphrep.data.coerce import convert

        result: Interactions = convert("interactions_from_pyg", data, **options)
        return result

    def to_pandas(self) -> Any:
        """See :func:`graphrep.interop.interactions_to_pandas`."""
        from graphrep.data.coerce import convert

        return convert("interactions_to_pandas", self)

    def to_scipy(self, part: str | None = None) -> Any:
        """(U, I) scipy CSR array of the summed weights of one part, or of all rows."""
        return self.csr(part).to_scipy()

    def to_pyg(self) -> Any:
        """See :func:`graphrep.interop.interactions_to_pyg`."""
        from graphrep.data.coerce import convert

        return convert("interactions_to_pyg", self)

    def replace(self, **changes: Any) -> Interactions:
        """A copy with some of the constructor's arguments changed; what it shares with this one is not copied.

        Raises:
            UnknownNameError: no such argument.
        """
        unknown = changes.keys() - set(_FIELDS)
        if unknown:
            raise UnknownNameError(f"Interactions has no part {sorted(unknown)[0]!r}.", hint=", ".join(_FIELDS))
        return Interactions(**{**{key: getattr(self, key) for key in _FIELDS}, **changes})

    def to(self, device: torch.device | str) -> Interactions:
        """The same interactions with their tensors on `device` (ids stay where they are)."""
        parts = {key: getattr(self, key) for key in ("user", "item", "weight", "time", "part")}
        return self.replace(**{key: None if part is None else part.to(device) for key, part in parts.items()})

    @property
    def num_rows(self) -> int:
        """R, the interactions of all parts, repeats included."""
        return int(self.user.shape[0])

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts that have rows, in the order train, val, test; empty when the rows are not split."""
        return tuple(word for word in PARTS if self.part is not None and bool((self.part == PARTS.index(word)).any()))

    def rows(self, part: str | None = None) -> Tensor:
        """(S,) int64 numbers of the rows of a part, ascending; all rows for None.

        Raises:
            UnknownNameError: no such part.
            GraphrepError: the rows are not split.
        """
        if part is None:
            return torch.arange(self.num_rows, device=self.user.device)
        if part not in PARTS:
            raise UnknownNameError(f'Unknown part "{part}".', hint=", ".join(PARTS))
        if self.part is None:
            raise GraphrepError(f"The interactions are not split, so there is no {part} part.", hint="split(...) first")
        return (self.part == PARTS.index(part)).nonzero().reshape(-1)

    def csr(self, part: str | None = None, *, binarize: bool = False) -> CSR:
        """The matrix of one part (all rows for None): row u holds the items of user u, each once; built once.

        Args:
            part: ``"train"``, ``"val"`` or ``"test"``.
            binarize: 1 for every pair; False sums the weights of its rows (without weights: counts them).

        Returns:
            (U, I) CSR with sorted columns and a weight per entry; ``perm`` holds the number of the first row of each
            pair.

        Raises:
            UnknownNameError, GraphrepError: see :meth:`rows`.
        """
        key = (part, binarize)
        if key not in self._cache:
            self._cache[key] = self._matrix(self.rows(part), binarize)
        return self._cache[key]

    def _matrix(self, rows: Tensor, binarize: bool) -> CSR:
        user, item = self.user[rows], self.item[rows]
        weight = None if self.weight is None or binarize else self.weight.detach()[rows].double()
        _, col, perm = _parts.sorted_rows(user, item, weight, self.num_users, self.num_items)
        perm = perm.long()
        row = user[perm]
        new = torch.ones_like(row, dtype=torch.bool)
        new[1:] = (row[1:] != row[:-1]) | (col[1:] != col[:-1])
        group = new.long().cumsum(0) - 1
        count = int(new.sum())
        dtype = torch.float32 if self.weight is None else self.weight.dtype
        if binarize:
            value = torch.ones(count, dtype=dtype, device=row.device)
        else:
            added = torch.ones_like(row, dtype=torch.float64) if weight is None else weight[perm]
            value = torch.zeros(count, dtype=torch.float64, device=row.device).index_add_(0, group, added).to(dtype)
        first = torch.full((count,), self.num_rows, dtype=torch.int64, device=row.device)
        first.scatter_reduce_(0, group, rows[perm], "amin")
        pointer = torch.zeros(self.num_users + 1, dtype=torch.int64, device=row.device)
        pointer[1:] = torch.bincount(row[new], minlength=self.num_users).cumsum(0)
        return CSR(pointer, col[new], value, num_cols=self.num_items, perm=first)

    def split(
        self,
        *,
        val: float = 0.1,
        test: float = 0.2,
        by: Literal["user", "user_time", "time"] = "user",
        seed: int | None = None,
    ) -> Interactions:
        """The same rows with new parts.

        Rows of the same user and item go to the same part, and each user keeps at least one pair for training
        (not with ``"time"``), so that test pairs are new to the model.

        Args:
            val: fraction of the pairs that validate, from 0; ``floor(val * pairs)`` are taken.
            test: fraction of the pairs that are tested on, likewise; both together below 1.
            by: ``"user"``: at random among the pairs of each user; ``"user_time"``: the last pairs of each user (a
                pair has the time of its first row) are tested on, those before them validate; ``"time"``: the last
                pairs of all.
            seed: of the random split; needed for ``"user"``, and only there.

        Raises:
            GraphrepError: fractions outside their range, no `seed` for a random split, or no times.
            UnknownNameError: another `by`.

        Example:
            >>> seen = Interactions([0, 0, 0, 0, 1], [0, 1, 2, 3, 0], time=[4, 1, 3, 2, 9])
            >>> last = seen.split(val=0.25, test=0.25, by="user_time")
            >>> [PARTS[code] for code in last.part]
            ['test', 'train', 'val', 'train', 'train']
        """
        return self.replace(part=split_codes(self, val, test, by, seed))

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles hold the parts; matrices are built again when asked for."""
        return _parts.restored, (Interactions, {key: getattr(self, key) for key in _FIELDS})

    def __repr__(self) -> str:
        grouped = check.grouped
        text = f"{grouped(self.num_users)} users, {grouped(self.num_items)} items, {grouped(self.num_rows)} rows"
        text += ", weighted" if self.weight is not None else ""
        text += ", with times" if self.time is not None else ""
        if self.part is not None:
            sizes = torch.bincount(self.part.long(), minlength=len(PARTS)).tolist()
            text += "; " + ", ".join(f"{word} {grouped(n)}" for word, n in zip(PARTS, sizes, strict=True) if n)
        return f"Interactions({self.name + ': ' if self.name else ''}{text})"


def _numbers(value: Any, name: str) -> Tensor:
    """(R,) int64."""
    tensor = _parts.as_tensor(value, name)
    if tensor.numel() == 0 and tensor.dim() == 1:
        return tensor.long()
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise DTypeError(f"{name} must hold numbers of rows, from 0; got {tensor.dtype}.", hint=f"{name}.long()")
    if tensor.dim() != 1:
        raise ShapeError(f"{name} must have one axis; got shape {tuple(tensor.shape)}.", hint=f"{name}.reshape(-1)")
    return tensor.long()
