"""Smaller tables for the recommenders: `compression` and `compression_rows` as a module with shared rows."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from graphrep.errors import UnknownNameError
from graphrep.kernels import CSR
from graphrep.methods.graph_hash import METHODS, GraphHash
from graphrep.nn.interactions import InteractionEncoder

__all__ = ["check_compression", "compressed", "restored"]


def check_compression(method: str) -> None:
    """Raises unless `method` is ``"none"`` or one of :class:`GraphHash`."""
    if method != "none" and method not in METHODS:
        raise UnknownNameError(f'compression is "{method}".', hint=", ".join(("none", *METHODS)))


def compressed(
    module: InteractionEncoder, train: CSR, method: str, num_rows: float | int, seed: int
) -> InteractionEncoder:
    """The module with tables whose rows are shared by the pairs of `train` (U, I) alone; as it is for ``"none"``.

    Raises:
        GraphrepError: `num_rows` is out of range; see :class:`GraphHash`.
    """
    if method == "none":
        return module
    hashes = GraphHash(method=method, target_size=num_rows, seed=seed)
    return module.share_rows(*hashes.fit(train), hashes.num_rows_)


def restored(module: InteractionEncoder, state: Mapping[str, Tensor]) -> InteractionEncoder:
    """A new module with tables of the sizes that are in `state`, so that it can take it."""
    if "user_map" not in state:
        return module
    sizes = len(state["user_embedding"]), len(state["item_embedding"])
    return module.share_rows(state["user_map"], state["item_map"], sizes)
