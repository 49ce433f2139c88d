"""HashedEmbedding: lookups against a loop, gradients that add up over the ids of a row, state, errors."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given as cases
from hypothesis import settings
from hypothesis import strategies as st

from graphrep.errors import DTypeError, GraphrepError, IndexRangeError, ShapeError, UnknownNameError
from graphrep.nn import HashedEmbedding


@settings(max_examples=25, deadline=None)
@cases(st.integers(1, 12), st.integers(1, 3), st.integers(1, 6), st.sampled_from(["sum", "mean"]), st.integers(0, 99))
def test_by_loops(ids: int, hashes: int, rows: int, combine: str, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    where = torch.randint(rows, (ids, hashes), generator=generator)
    table = HashedEmbedding(where, 3, num_rows=rows, combine=combine).double()
    chosen = torch.randint(ids, (5,), generator=generator, dtype=torch.int32)
    weight = table.weight.detach()
    wanted = torch.stack([sum(weight[k] for k in where[i].tolist()) for i in chosen.tolist()])  # type: ignore[misc]
    wanted = wanted / hashes if combine == "mean" else wanted
    assert torch.allclose(table(chosen), wanted)
    assert torch.equal(table()[chosen.long()], table(chosen))
    assert torch.autograd.gradcheck(
        lambda w: torch.func.functional_call(table, {"weight": w}), (weight.requires_grad_(),)
    )


def test_one_hash_is_a_lookup_and_gradients_add_up() -> None:
    table = HashedEmbedding(torch.tensor([1, 0, 1, 1]), 2)
    assert torch.equal(table(), table.weight[[1, 0, 1, 1]])
    table().sum().backward()
    assert table.weight.grad is not None
    assert table.weight.grad.tolist() == [[1.0, 1.0], [3.0, 3.0]]
    assert repr(table) == "HashedEmbedding(4 ids, 2 rows, dim=2)"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dtypes(dtype: torch.dtype) -> None:
    table = HashedEmbedding(torch.tensor([[0, 1], [1, 0]], dtype=torch.int32), 4).to(dtype)
    assert table().dtype == dtype
    assert torch.equal(table()[0], table()[1])
    wanted = table.weight.float().sum(0)
    assert torch.allclose(table()[0].float(), wanted, rtol=2**-8 if dtype == torch.bfloat16 else 1e-6, atol=1e-6)


def test_the_map_is_a_copy_and_part_of_the_state() -> None:
    given_map = torch.tensor([0, 1, 1])
    table = HashedEmbedding(given_map, 2, num_rows=3)
    given_map[0] = 1
    assert table.map.tolist() == [0, 1, 1]
    assert set(table.state_dict()) == {"map", "weight"}
    assert table.weight.shape == (3, 2)
    other = HashedEmbedding(torch.zeros(3, dtype=torch.int64), 2, num_rows=3)
    other.load_state_dict(table.state_dict())
    assert torch.equal(other(), table())


def test_errors() -> None:
    rows = torch.tensor([0, 1])
    with pytest.raises(DTypeError, match="map must hold integers"):
        HashedEmbedding(rows.double(), 2)
    with pytest.raises(ShapeError, match="map must have 1 axes"):
        HashedEmbedding(rows.reshape(1, 1, 2), 2)
    with pytest.raises(ShapeError, match="there is no id"):
        HashedEmbedding(rows[:0], 2)
    with pytest.raises(IndexRangeError, match="map refers to 1"):
        HashedEmbedding(rows, 2, num_rows=1)
    with pytest.raises(IndexRangeError, match="map refers to -1"):
        HashedEmbedding(-rows, 2)
    with pytest.raises(GraphrepError, match="dim is 0"):
        HashedEmbedding(rows, 0)
    with pytest.raises(UnknownNameError, match='combine is "max"'):
        HashedEmbedding(rows, 2, combine="max")
    with pytest.raises(IndexRangeError, match="index refers to 2"):
        HashedEmbedding(rows, 2)(torch.tensor([2]))
