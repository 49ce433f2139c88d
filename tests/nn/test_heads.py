"""Heads: their formulas, gradients, symmetry, relations, errors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from graphrep.errors import GraphrepError, IndexRangeError, ShapeError, UnknownNameError
from graphrep.nn import EdgeHead, LinkHead, NodeHead, link_score


def rows(count: int, dim: int = 4, seed: int = 0) -> Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_nodes() -> None:
    head = NodeHead(4, 3).double()
    h = rows(5)
    torch.testing.assert_close(head(h), h @ head.lin.weight.t() + head.lin.bias)
    assert head(h[:0]).shape == (0, 3)
    with pytest.raises(ShapeError, match=r"\(5, 3\)"):
        head(h[:, :3])
    with pytest.raises(GraphrepError, match="num_classes is 0"):
        NodeHead(4, 0)


@pytest.mark.parametrize("kind", ["concat", "product"])
def test_edges(kind: str) -> None:
    head = EdgeHead(4, 3, kind=kind, hidden=6, dropout=0.5).double().eval()
    u, v = rows(5).requires_grad_(), rows(5, seed=1).requires_grad_()
    pair = torch.cat([u, v], 1) if kind == "concat" else u * v
    hidden = (pair @ head.lin1.weight.t() + head.lin1.bias).clamp(min=0)
    torch.testing.assert_close(head(u, v), hidden @ head.lin2.weight.t() + head.lin2.bias)
    assert torch.allclose(head(u, v), head(v, u)) == (kind == "product")
    assert torch.autograd.gradcheck(head, (u, v))
    head.train()
    assert not torch.equal(head(u, v), head(u, v))


def test_edges_between_vectors_of_two_widths() -> None:
    assert EdgeHead((4, 2), 3)(torch.ones(5, 4), torch.ones(5, 2)).shape == (5, 3)
    with pytest.raises(GraphrepError, match="a product of widths 4 and 2"):
        EdgeHead((4, 2), 3, kind="product")


def test_errors_of_edges() -> None:
    with pytest.raises(UnknownNameError, match='kind is "sum"'):
        EdgeHead(4, 3, kind="sum")
    with pytest.raises(GraphrepError, match="hidden is 0"):
        EdgeHead(4, 3, hidden=0)
    with pytest.raises(ShapeError, match=r"source is \(2, 4\), target \(3, 4\)"):
        EdgeHead(4, 3)(torch.ones(2, 4), torch.ones(3, 4))
    with pytest.raises(ShapeError, match="target has shape"):
        EdgeHead(4, 3)(torch.ones(2, 4), torch.ones(2, 5))


@pytest.mark.parametrize("kind", ["dot", "cosine", "distmult", "transe"])
def test_links(kind: str) -> None:
    head = LinkHead(4, 3, kind=kind).double()
    u, v, pool = rows(5), rows(5, seed=1), rows(7, seed=2)
    start = "dot" if kind == "distmult" else kind  # the vectors of the relations start where they change nothing
    zero = torch.zeros(4, dtype=torch.float64)
    torch.testing.assert_close(head(u, v), link_score(u, v, zero, kind=start))
    relation = torch.tensor([0, 2, 1, 1, 0], dtype=torch.int32)
    if head.relations is not None:
        torch.nn.init.normal_(head.relations)
        vectors = head.relations[relation.long()]
        want = link_score(u[:, None], pool[None], vectors[:, None], kind=kind)
        torch.testing.assert_close(head(u[:, None], pool[None], relation), want)
        torch.testing.assert_close(head(u, v, relation), link_score(u, v, vectors, kind=kind))
        assert torch.autograd.grad(head(u, v, relation).sum(), head.relations)[0].abs().sum() > 0
        with pytest.raises(IndexRangeError, match="relation"):
            head(u, v, relation + 1)
    else:
        assert not list(head.parameters())
        torch.testing.assert_close(head(u, v, relation), head(u, v))


def test_errors_of_links() -> None:
    with pytest.raises(UnknownNameError, match='kind is "rotate"'):
        LinkHead(4, kind="rotate")
    with pytest.raises(GraphrepError, match="num_relations is 0"):
        LinkHead(4, 0)
    with pytest.raises(GraphrepError, match=r"p is 0\.5"):
        LinkHead(4, kind="transe", p=0.5)
