"""Nothing that layers remember about a graph or its features outlives them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch

from graphrep.kernels import CSR
from graphrep.nn import GATConv, GCNConv, GCNEncoder, RGCNConv, SAGEConv, mask_features

LAYERS: dict[str, Callable[[], Any]] = {
    "gcn": lambda: GCNConv(4, 4),
    "sage": lambda: SAGEConv(4, 4),
    "gat": lambda: GATConv(4, 4),
    "rgcn": lambda: RGCNConv(4, 4, 2),
    "encoder": lambda: GCNEncoder(4, 4, 4),
}


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
@pytest.mark.parametrize(("layer", "sparse"), [*((name, False) for name in LAYERS), ("encoder", True)])
def test_inputs_are_freed(layer: str, dtype: torch.dtype, sparse: bool) -> None:
    edge_index, x = torch.tensor([[0, 1, 2], [1, 2, 0]], dtype=dtype), torch.eye(3, 4)
    x = x.to_sparse_csr() if sparse else x
    types = (torch.tensor([0, 1, 0]),) if layer == "rgcn" else ()
    LAYERS[layer]()(x, edge_index, *types)
    kept = weakref.ref(edge_index), weakref.ref(x)
    del edge_index, x
    gc.collect()
    assert [reference() for reference in kept] == [None, None]


def test_masked_columns_of_a_csr() -> None:
    """The same columns as of the dense matrix; pattern and cached transpose stay."""
    x = torch.arange(1.0, 13.0).reshape(3, 4)
    csr = CSR(torch.arange(0, 13, 4), torch.arange(4).repeat(3), x.flatten(), num_cols=4)
    masked = mask_features(csr, 0.5, torch.Generator().manual_seed(3))
    dense = mask_features(x, 0.5, torch.Generator().manual_seed(3))
    assert masked.value is not None
    assert torch.equal(masked.value.reshape(3, 4).to(x.dtype), dense)
    assert 0 < int((dense == 0).sum()) < 12
    assert masked.col is csr.col
    assert masked.rowptr is csr.rowptr
    with pytest.raises(ValueError, match="no values"):
        mask_features(csr.with_value(None), 0.5, 0)
