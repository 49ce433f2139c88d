"""FastRP as a module (gradients) and as a PyG transform."""

from __future__ import annotations

import pytest
import torch
from fastrp_cases import random_graph

from graphrep.errors import GraphrepError, MissingFeaturesError, ShapeError
from graphrep.methods import FastRP, FastRPModule, FastRPTransform

OPTIONS = [
    {},
    {"weights": (0.5, 0.0, 2.0), "self_weight": 0.3, "degree_exponent": -0.5, "direction": "in"},
    {"feature_ratio": 0.5, "direction": "both", "standardize": True},
    {"feature_ratio": 1.0, "feature_scale": "standard", "concat": True},
    {"rng": "gds", "density": 1 / 3, "normalize": False, "transition": False},
    {"density": "gaussian"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_module_and_estimator_agree(options):
    x = torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    graph = random_graph(50, 400, weighted=True, undirected=False, x=x)
    want = FastRP(dim=10, dtype=torch.float64, **options).fit_transform(graph)
    module = FastRPModule(dim=10, dtype=torch.float64, **options)
    got = module(graph.edge_index, graph.edge_weight.double(), num_nodes=50, x=x)
    torch.testing.assert_close(got, want, rtol=0, atol=1e-9)
    assert not got.requires_grad
    assert list(module.state_dict()) == ["weights"]
    same = FastRP(dim=10, dtype=torch.float64, **options).module_
    csr = graph.csr(options.get("direction", "out"))
    torch.testing.assert_close(same(csr.with_value(csr.value.double()), x=x), want, rtol=0, atol=1e-9)


def test_sparse_tensor_input():
    graph = random_graph(30, 300)
    csr = graph.csr("out")
    sparse = torch.sparse_csr_tensor(csr.rowptr.long(), csr.col.long(), torch.ones(csr.nnz), size=(30, 30))
    torch.testing.assert_close(FastRPModule(dim=6)(sparse), FastRPModule(dim=6)(graph.edge_index, num_nodes=30))


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("standardize", [True, False])
def test_gradients(normalize, standardize):
    generator = torch.Generator().manual_seed(1)
    edges = torch.tensor([[0, 1, 2, 3, 4, 0, 0, 2], [1, 2, 3, 4, 0, 2, 2, 2]])  # parallel edges and a self-loop
    options = {"normalize": normalize, "standardize": standardize, "dtype": torch.float64, "degree_exponent": -0.5}
    module = FastRPModule(dim=3, weights=(0.5, 1.0), self_weight=0.2, learn_weights=True, **options)

    def run(weight, init, powers):
        return torch.func.functional_call(module, {"weights": powers}, (edges, weight), {"init": init})

    weight = torch.rand(8, generator=generator, dtype=torch.float64) + 0.5
    init = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    powers = torch.tensor([0.5, 1.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(run, tuple(t.requires_grad_() for t in (weight, init, powers)))


def test_gradient_to_features():
    edges = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]])
    module = FastRPModule(dim=6, feature_ratio=0.5, dtype=torch.float64)
    x = torch.randn(4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2), requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: module(edges, x=t), (x,))


def test_zero_rows_have_finite_gradients():
    init = torch.zeros(3, 4, requires_grad=True)
    FastRPModule(dim=4, self_weight=1.0)(torch.tensor([[0], [1]]), num_nodes=3, init=init).sum().backward()
    assert bool(torch.isfinite(init.grad).all())


def test_module_errors():
    edges = torch.tensor([[0, 1], [1, 0]])
    with pytest.raises(MissingFeaturesError, match="x is missing"):
        FastRPModule(dim=4, feature_ratio=0.5)(edges)
    with pytest.raises(ShapeError, match="init has shape"):
        FastRPModule(dim=4)(edges, init=torch.ones(2, 3))
    with pytest.raises(GraphrepError, match="negative"):
        FastRPModule(dim=4)(edges, torch.tensor([1.0, -1.0]))


def test_pyg_transform():
    from torch_geometric.data import Data
    from torch_geometric.transforms import Compose, NormalizeFeatures

    graph = random_graph(30, 300, x=torch.rand(30, 2))
    data = Data(x=graph.x, edge_index=graph.edge_index, num_nodes=30)
    out = Compose([NormalizeFeatures(), FastRPTransform(dim=6, seed=2)])(data)
    assert torch.equal(out.fastrp, FastRP(dim=6, seed=2).fit_transform(graph))
    assert "fastrp" not in data
    joined = FastRPTransform(dim=6, attr_name="x", seed=2)(data)
    assert torch.equal(joined.x[:, 2:], out.fastrp)
    assert str(FastRPTransform(dim=6)) == "FastRPTransform(FastRP(dim=6), attr_name='fastrp')"
