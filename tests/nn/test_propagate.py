"""Propagate against PyG's SGConv and APPNP and against dense matrices; memory of the layers."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
import torch
import torch_geometric.nn as pyg
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphrep.errors import GraphrepError
from graphrep.kernels import CSR
from graphrep.nn import Propagate

N, D = 19, 5


def graph(seed: int = 0, num_edges: int = 70) -> tuple[Tensor, Tensor, Tensor]:
    """x, edges without self-loops or duplicates, positive weights; the last node has no edges."""
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(0, N - 1, (2, num_edges), generator=generator).unique(dim=1)
    edges = edges[:, edges[0] != edges[1]]
    x = torch.randn(N, D, dtype=torch.float64, generator=generator).requires_grad_()
    return x, edges, torch.rand(edges.shape[1], dtype=torch.float64, generator=generator) + 0.1


def dense(edges: Tensor, weight: Tensor | None, norm: str | None, loops: bool) -> Tensor:
    matrix = torch.zeros(N, N, dtype=torch.float64)
    matrix[edges[1], edges[0]] = torch.ones(edges.shape[1]).double() if weight is None else weight
    if loops:
        matrix += torch.eye(N)
    degree = matrix.sum(1)
    safe = torch.where(degree > 0, degree, 1)
    if norm == "sym":
        return matrix / safe.sqrt()[:, None] / torch.where(degree > 0, safe.sqrt(), torch.inf)[None, :]
    return matrix / safe[:, None] if norm == "row" else matrix


@pytest.mark.parametrize("norm", ["sym", "row", None])
@pytest.mark.parametrize("loops", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("teleport", [0.0, 0.15])
def test_against_dense_powers(norm: str | None, loops: bool, weighted: bool, teleport: float) -> None:
    x, edges, weight = graph()
    matrix = dense(edges, weight if weighted else None, norm, loops)
    hops = [x]
    for _ in range(3):
        hops.append((1 - teleport) * (matrix @ hops[-1]) + teleport * x)
    wanted = {"last": hops[-1], "mean": torch.stack(hops).mean(0), "concat": torch.cat(hops, dim=1)}
    for combine, result in wanted.items():
        layer = Propagate(3, norm=norm, add_self_loops=loops, teleport=teleport, combine=combine)
        found = layer(x, edges, weight if weighted else None)
        torch.testing.assert_close(found, result)
        g = torch.randn(found.shape, dtype=found.dtype, generator=torch.Generator().manual_seed(1))
        for a, b in zip(
            *(torch.autograd.grad((r * g).sum(), [x], retain_graph=True) for r in (found, result)), strict=True
        ):
            torch.testing.assert_close(a, b)


def test_is_what_sgc_and_appnp_propagate() -> None:
    x, edges, weight = graph()
    sgc = pyg.SGConv(D, D, K=2, bias=False).double()
    sgc.lin.weight.data = torch.eye(D, dtype=torch.float64)
    torch.testing.assert_close(Propagate(2)(x, edges, weight), sgc(x, edges, weight))
    torch.testing.assert_close(
        Propagate(10, teleport=0.1)(x, edges, weight), pyg.APPNP(K=10, alpha=0.1)(x, edges, weight)
    )


def test_a_matrix_and_the_cache() -> None:
    x, edges, weight = graph()
    for value in (None, weight):
        csr = CSR.from_edge_index(edges, value, size=(N, N))
        torch.testing.assert_close(Propagate(2)(x, csr), Propagate(2)(x, edges, value))
    layer = Propagate(2, cached=True)
    first = layer(x, edges)
    assert torch.equal(layer(x, edges[:, :3]), first)
    assert "cached=True" in repr(layer)
    assert not layer.state_dict()


def test_hops_of_zero_and_isolated_nodes() -> None:
    x, edges, _ = graph()
    assert torch.equal(Propagate(0)(x, edges), x)
    assert not Propagate(1, add_self_loops=False)(x, edges)[-1].any()
    torch.testing.assert_close(Propagate(4)(x, edges)[-1], x[-1])
    empty = torch.empty(2, 0, dtype=torch.long)
    torch.testing.assert_close(Propagate(2)(x, empty), x)


def test_compiles_without_breaks() -> None:
    x, edges, weight = graph()
    for layer in (Propagate(2), Propagate(2, norm="row", teleport=0.2, combine="mean")):
        compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(x, edges, weight), layer(x, edges, weight))


def test_gradients_of_weights() -> None:
    x, edges, weight = graph(num_edges=15)
    for norm in ("sym", "row", None):
        layer = Propagate(2, norm=norm)  # type: ignore[arg-type]
        assert torch.autograd.gradcheck(lambda x, w, layer=layer: layer(x, edges, w), (x, weight.requires_grad_()))


@pytest.mark.parametrize(
    "wrong", [{"hops": -1}, {"hops": 1, "norm": "left"}, {"hops": 1, "combine": "sum"}, {"hops": 1, "teleport": 1.0}]
)
def test_settings_out_of_range(wrong: dict[str, object]) -> None:
    with pytest.raises(GraphrepError, match=next(reversed(wrong))):
        Propagate(**wrong)  # type: ignore[arg-type]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), norm=st.sampled_from(["sym", "row", None]))
def test_node_and_edge_order_do_not_matter(seed: int, norm: str | None) -> None:
    x, edges, weight = graph(seed, num_edges=40)
    generator = torch.Generator().manual_seed(seed)
    nodes, entries = torch.randperm(N, generator=generator), torch.randperm(edges.shape[1], generator=generator)
    layer = Propagate(2, norm=norm)  # type: ignore[arg-type]
    moved = layer(x[nodes], nodes.argsort()[edges[:, entries]], weight[entries])
    torch.testing.assert_close(moved, layer(x, edges, weight)[nodes])


def test_layers_make_no_array_of_messages() -> None:
    """400,000 edges x 128 numbers are 200 MB; forward and backward of each layer stay far below."""
    script = """
        import torch
        from benchmarks.memory import peak_of
        from graphrep.nn import GATConv, GCNConv, Propagate, RGCNConv, SAGEConv

        torch.set_num_threads(2)
        N, E, D = 4000, 400_000, 128
        edges = torch.randint(0, N, (2, E), generator=torch.Generator().manual_seed(0))
        types, x = torch.arange(E) % 3, torch.randn(N, D, requires_grad=True)
        attr = torch.randn(E, 4)
        layers = {
            "gcn": (GCNConv(D, D), ()), "sage": (SAGEConv(D, D), ()), "gat": (GATConv(D, 32, heads=4), ()),
            "gat with edge features": (GATConv(D, 32, heads=4, edge_dim=4), (attr,)),
            "rgcn": (RGCNConv(D, D, 3), (types,)), "propagate": (Propagate(3), ()),
        }
        for name, (layer, extra) in layers.items():
            step = lambda: layer(x, edges, *extra).sum().backward()
            step()
            peak, _ = peak_of(step)
            assert peak < 100e6, (name, peak)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
