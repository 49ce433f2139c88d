"""link_score: golden vectors, loops, broadcasting, gradients, errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphrep.errors import DTypeError, GraphrepError, ShapeError, UnknownNameError
from graphrep.nn import link_score

GOLDEN = Path(__file__).parents[1] / "golden" / "lmgnn" / "scorers_b5d8.npz"
KINDS = ("dot", "cosine", "distmult", "transe")


@pytest.fixture
def arrays() -> dict[str, Tensor]:
    with np.load(GOLDEN, allow_pickle=False) as file:
        return {key: torch.from_numpy(np.array(file[key])) for key in file.files}


def test_golden(arrays: dict[str, Tensor]) -> None:
    head, tail = arrays["head"], arrays["tail"]
    tails, heads, rel = arrays["shared_neg_tail"], arrays["shared_neg_head"], arrays["rel_emb"][arrays["rel"]]
    for kind in ("dot", "distmult"):
        found = {
            f"{kind}_pos": link_score(head, tail, rel, kind=kind),
            f"{kind}_neg_tail": link_score(head[:, None], tails[None], rel[:, None], kind=kind),
            f"{kind}_neg_head": link_score(heads[None], tail[:, None], rel[:, None], kind=kind),
        }
        for key, value in found.items():
            torch.testing.assert_close(value, arrays[key], rtol=1e-12, atol=1e-12)
    zero = torch.cat([torch.zeros_like(head[:1]), head[1:]])
    cosines = {
        "cos_pos": (head, tail),
        "cos_neg_tail": (head[:, None], tails[None]),
        "cos_zero_head": (zero, tail),
    }
    for key, ends in cosines.items():
        torch.testing.assert_close(link_score(*ends, kind="cosine"), arrays[key], rtol=1e-12, atol=1e-12)
    for p in (1, 2):
        found_p = link_score(head, tail, rel, kind="transe", p=p)
        torch.testing.assert_close(found_p, arrays[f"transe_l{p}_pos"], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_gradcheck(kind: str) -> None:
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(3, 4, dtype=torch.float64, generator=generator, requires_grad=True) for _ in range(3)]
    assert torch.autograd.gradcheck(lambda *vectors: link_score(*vectors, kind=kind), parts)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 50), count=st.integers(0, 5), width=st.integers(1, 6))
@settings(max_examples=10, deadline=None)
def test_pairs_do_not_see_each_other(kind: str, seed: int, count: int, width: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    head, tail, rel = (torch.randn(count, width, dtype=torch.float64, generator=generator) for _ in range(3))
    order = torch.randperm(count, generator=generator)
    whole = link_score(head, tail, rel, kind=kind)
    torch.testing.assert_close(link_score(head[order], tail[order], rel[order], kind=kind), whole[order])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("dtype", "tol"), [(torch.float32, 1e-5), (torch.bfloat16, 5e-2)])  # 8 bits of the vectors
def test_narrow_types(kind: str, dtype: torch.dtype, tol: float) -> None:
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(9, 16, dtype=torch.float64, generator=generator) for _ in range(3)]
    found = link_score(*(part.to(dtype) for part in parts), kind=kind)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), link_score(*parts, kind=kind), rtol=tol, atol=tol * 4)


def test_errors() -> None:
    vectors = torch.zeros(3, 4)
    with pytest.raises(UnknownNameError):
        link_score(vectors, vectors, kind="rotate")
    with pytest.raises(GraphrepError, match="relations"):
        link_score(vectors, vectors, kind="distmult")
    with pytest.raises(ShapeError, match="fit each other"):
        link_score(vectors, torch.zeros(3, 5))
    with pytest.raises(ShapeError, match="fit each other"):
        link_score(vectors, torch.zeros(2, 4))
    with pytest.raises(ShapeError, match="single number"):
        link_score(torch.zeros(()), vectors)
    with pytest.raises(DTypeError):
        link_score(vectors.long(), vectors)
    with pytest.raises(GraphrepError, match="norm"):
        link_score(vectors, vectors, vectors, kind="transe", p=0.5)
