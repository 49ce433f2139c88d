"""The GCN encoder against PyG's layers, sparse against dense features, its activations and refusals."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch_geometric.nn as pyg
from torch import Tensor, nn

from graphrep.errors import DTypeError, GraphrepError, ShapeError, UnknownNameError
from graphrep.kernels import CSR, gcn_norm
from graphrep.nn import GCNEncoder
from graphrep.nn.encoder import feature_matrix

EDGES = torch.randint(0, 30, (2, 120), generator=torch.Generator().manual_seed(0))


def features() -> Tensor:
    x = torch.rand(30, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return x * (x > 0.6)


@pytest.mark.parametrize(
    ("activation", "module"), [("relu", nn.ReLU()), ("prelu", nn.PReLU()), ("none", nn.Identity())]
)
@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_equals_a_stack_of_pygs_layers(activation: str, module: nn.Module, num_layers: int) -> None:
    encoder = GCNEncoder(7, 6, 5, num_layers=num_layers, activation=activation).double()
    widths = [7, *[6] * (num_layers - 1), 5]
    peers = [pyg.GCNConv(a, b).double() for a, b in itertools.pairwise(widths)]
    for conv, peer in zip(encoder.convs, peers, strict=True):
        peer.load_state_dict(conv.state_dict())
    h, module = features(), module.double()
    for peer in peers:
        h = module(peer(h, EDGES))
    torch.testing.assert_close(encoder(features(), EDGES), h, rtol=1e-12, atol=1e-12)
    for adjacency in (gcn_norm(EDGES, num_nodes=30, dtype=torch.float64), CSR.from_edge_index(EDGES, size=(30, 30))):
        torch.testing.assert_close(encoder(features(), adjacency), h, rtol=1e-12, atol=1e-12)


def test_sparse_features_give_the_same_values_and_gradients() -> None:
    encoder = GCNEncoder(7, 6, 5).double()
    results = []
    for x in (features(), features().to_sparse_csr()):
        out = encoder(x, EDGES)
        results.append([out, *torch.autograd.grad(out.cos().sum(), list(encoder.parameters()))])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    x = features().to_sparse_csr()
    assert feature_matrix(x) is feature_matrix(x), "grouped once"


def test_layers_and_slopes() -> None:
    encoder = GCNEncoder(7, 6, 5, activation="prelu")
    weight, bias = encoder.layers[0]
    assert (weight.shape, bias.shape) == ((7, 6), (6,))
    assert encoder.negative_slope is encoder.activation.weight
    assert GCNEncoder(7, 6, 5).negative_slope == 0.0
    assert GCNEncoder(7, 6, 5, activation="none").negative_slope == 1.0
    assert GCNEncoder(7, 6, 5, activation="rrelu").negative_slope == pytest.approx((1 / 8 + 1 / 3) / 2)
    assert "7 -> 6 -> 5" in repr(encoder)
    before = encoder.layers[0][0].clone()
    encoder.reset_parameters()
    assert not torch.equal(before, encoder.layers[0][0])


def test_refusals() -> None:
    encoder = GCNEncoder(7, 6, 5).double()
    with pytest.raises(GraphrepError, match="piecewise linear"):
        GCNEncoder(7, 6, 5, activation="elu").negative_slope  # noqa: B018
    with pytest.raises(UnknownNameError, match="activation"):
        GCNEncoder(7, 6, 5, activation="swish")
    with pytest.raises(GraphrepError, match="num_layers"):
        GCNEncoder(7, 6, 5, num_layers=0)
    with pytest.raises(ShapeError, match="x has 3 columns; this encoder takes 7"):
        encoder(torch.ones(30, 3, dtype=torch.float64), EDGES)
    with pytest.raises(DTypeError, match="layout"):
        encoder(features().to_sparse_coo(), EDGES)
    with pytest.raises(DTypeError, match="list"):
        encoder([1], EDGES)
    with pytest.raises(ShapeError, match=r"\(30,\)"):
        encoder(torch.ones(30), EDGES)
