"""To and from the graphs of other libraries: nothing is lost on the way there and back."""

from __future__ import annotations

import subprocess
import sys

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import graphrep as gr
from graphrep.data import GraphWarning, as_graph
from graphrep.errors import DTypeError, GraphrepError, MissingExtraError, MissingFeaturesError, ShapeError
from graphrep.interop import from_dgl, from_networkx, from_pyg, from_scipy, to_dgl, to_networkx, to_pyg, to_scipy
from graphrep.interop.scipy import from_csr
from graphrep.kernels import CSR

WAYS = {
    "scipy": (to_scipy, from_scipy),
    "networkx": (to_networkx, from_networkx),
    "pyg": (to_pyg, from_pyg),
    "dgl": (to_dgl, from_dgl),
}


@pytest.fixture(params=sorted(WAYS))
def way(request):
    """A converter and its inverse; DGL only where it is installed."""
    if request.param == "dgl":
        pytest.importorskip("dgl")
    return request.param, *WAYS[request.param]


def stored(graph: gr.Graph) -> list[tuple[int, int, float]]:
    """Edges with weights, parallel ones too, in sorted order."""
    weight = [1.0] * graph.num_edges if graph.edge_weight is None else graph.edge_weight.tolist()
    return sorted((u, v, w) for (u, v), w in zip(graph.edge_index.t().tolist(), weight, strict=True))


GRAPHS = {
    "undirected": gr.Graph([[0, 1, 1, 2], [1, 0, 2, 1]], num_nodes=4),
    "directed": gr.Graph([[0, 1, 2], [1, 2, 0]], [0.5, 2.0, 3.0]),
    "multi_directed": gr.Graph([[0, 0, 1, 2], [1, 1, 2, 2]], [0.5, 2.0, 3.0, 1.5], num_nodes=5),
    "multi_undirected": gr.Graph([[0, 1, 0, 1, 2], [1, 0, 1, 0, 2]], [2.0, 2.0, 3.0, 3.0, 1.0]),
    "empty": gr.Graph(torch.empty(2, 0, dtype=torch.int64), num_nodes=3),
}


@pytest.mark.parametrize("name", sorted(GRAPHS))
def test_edges_weights_and_direction(way, name) -> None:
    _, there, back = way
    graph = GRAPHS[name]
    found = back(there(graph))
    assert found.num_nodes == graph.num_nodes
    assert stored(found) == stored(graph)
    assert (found.edge_weight is None) == (graph.edge_weight is None)
    assert found.is_undirected() == graph.is_undirected()


@pytest.mark.parametrize("ids", [None, [5, 3, 9], ["c", "a", "b"]])
def test_ids_features_labels(way, ids) -> None:
    name, there, back = way
    if name == "scipy":
        pytest.skip("a matrix holds edges alone")
    graph = gr.Graph(
        [[0, 1], [1, 2]], x=[[1.0, 2], [3, 4], [5, 6]], y=[2, 0, 1], ids=ids, name="toy", train_idx=[0, 2], test_idx=[1]
    )
    found = back(there(graph))
    assert torch.equal(found.x, graph.x)
    assert torch.equal(found.y, graph.y)
    assert (None if found.ids is None else found.ids.tolist()) == ids
    assert found.name == "toy"
    if name != "networkx":
        assert found.train_idx.tolist() == [0, 2]
        assert found.test_idx.tolist() == [1]
        assert found.val_idx is None


def test_label_matrices_and_sparse_features(way) -> None:
    name, there, back = way
    if name == "scipy":
        pytest.skip("a matrix holds edges alone")
    y = torch.tensor([[0, 1], [1, 1]])
    graph = gr.Graph([[0], [1]], x=sp.csr_array(np.array([[0, 2.0], [1, 0]])), y=y)
    found = back(there(graph))
    dense = found.x if found.x.layout is torch.strided else found.x.to_dense()
    assert dense.tolist() == [[0, 2], [1, 0]]
    assert torch.equal(found.y, y)


@given(
    n=st.integers(1, 6),
    pairs=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(2, 9)), max_size=20),
    weighted=st.booleans(),
)
@settings(max_examples=50, deadline=None)
@pytest.mark.parametrize("name", ["scipy", "networkx", "pyg"])
def test_any_multigraph(name, n, pairs, weighted) -> None:
    pairs = [(u % n, v % n, w) for u, v, w in pairs]
    edges = torch.tensor([p[:2] for p in pairs], dtype=torch.int64).reshape(-1, 2).t()
    graph = gr.Graph(edges, [float(p[2]) for p in pairs] if weighted else None, num_nodes=n)
    there, back = WAYS[name]
    found = back(there(graph))
    assert stored(found) == stored(graph)
    assert found.num_nodes == n


def test_as_graph_knows_every_library(way) -> None:
    _, there, _ = way
    assert stored(as_graph(there(GRAPHS["directed"]))) == stored(GRAPHS["directed"])


# scipy


def test_scipy_keeps_parallel_edges_and_zeros_apart() -> None:
    matrix = to_scipy(GRAPHS["multi_directed"])
    assert matrix.nnz == 4
    assert matrix.toarray()[0, 1] == 2.5
    zero = sp.csr_array((np.array([0.0, 2.0]), [1, 0], [0, 1, 2]), shape=(2, 2))
    assert from_scipy(zero).num_edges == 2


def test_scipy_entry_is_an_edge_from_row_to_column() -> None:
    graph = from_scipy(sp.coo_array(([3], ([0], [2])), shape=(3, 3)), x=torch.ones(3, 1), ids=["a", "b", "c"])
    assert graph.edge_index.tolist() == [[0], [2]]
    assert graph.edge_weight.dtype == torch.float32
    assert graph.ids.tolist() == ["a", "b", "c"]
    with pytest.raises(ShapeError, match="2 x 3"):
        from_scipy(sp.csr_array((2, 3)))
    with pytest.raises(DTypeError, match="complex"):
        from_scipy(sp.csr_array(np.array([[1j]])))


def test_rows_of_a_kernel_matrix_are_destinations() -> None:
    csr = CSR.from_edge_index(torch.tensor([[0, 2], [1, 1]]), torch.tensor([2.0, 3.0]), size=(3, 3))
    assert stored(from_csr(csr)) == [(0, 1, 2.0), (2, 1, 3.0)]
    with pytest.raises(ShapeError, match="2 x 3"):
        from_csr(CSR.from_edge_index(torch.tensor([[2], [1]]), size=(3, 2)))


# networkx


def test_networkx_nodes_weights_and_attributes() -> None:
    graph = nx.DiGraph()
    graph.add_node(("x", 1), age=3, height=1.5, group=0)
    graph.add_node("b", age=4, height=2.5, group=1)
    graph.add_edge(("x", 1), "b", cost=2)
    graph.add_edge("b", ("x", 1))
    found = from_networkx(graph, weight="cost", features=["age", "height"], label="group")
    assert found.ids.tolist() == ["('x', 1)", "b"]
    assert found.x.tolist() == [[3, 1.5], [4, 2.5]]
    assert found.feature_names == ("age", "height")
    assert found.y.tolist() == [0, 1]
    assert found.edge_weight.tolist() == [2, 1]
    assert from_networkx(graph).edge_weight is None


def test_networkx_row_order_is_node_order() -> None:
    graph = nx.Graph([(2, 0), (1, 0)])
    assert from_networkx(graph).ids.tolist() == [2, 0, 1]
    assert from_networkx(nx.path_graph(3)).ids is None
    assert from_networkx(nx.Graph()).num_nodes == 0


def test_networkx_errors() -> None:
    graph = nx.Graph([("1", 1)])
    with pytest.raises(GraphrepError, match='Two nodes have the same text "1"'):
        from_networkx(graph)
    with pytest.raises(MissingFeaturesError, match='Node 0 has no attribute "age"'):
        from_networkx(nx.path_graph(2), features="age")
    nx.set_node_attributes(graph := nx.path_graph(2), "red", "colour")
    with pytest.raises(DTypeError, match='"colour" holds no numbers'):
        from_networkx(graph, label="colour")


def test_networkx_kind_follows_the_graph() -> None:
    kinds = {name: type(to_networkx(graph)).__name__ for name, graph in GRAPHS.items()}
    assert kinds == {
        "undirected": "Graph",
        "directed": "DiGraph",
        "multi_directed": "MultiDiGraph",
        "multi_undirected": "MultiGraph",
        "empty": "Graph",
    }


# PyG


def test_pyg_attributes() -> None:
    from torch_geometric.data import Data, HeteroData

    edges = torch.tensor([[0, 1], [1, 0]])
    data = Data(edge_index=edges, edge_attr=torch.tensor([[1.0], [2.0]]), num_nodes=3)
    data.train_mask = torch.tensor([[True, False], [False, True], [False, False]])
    graph = from_pyg(data)
    assert graph.edge_weight.tolist() == [1, 2]
    assert graph.train_idx.tolist() == [0]
    assert graph.num_nodes == 3
    with pytest.warns(GraphWarning, match="edge_attr has 2 columns"):
        assert from_pyg(Data(edge_index=edges, edge_attr=torch.ones(2, 2))).edge_weight is None
    with pytest.raises(DTypeError, match="A HeteroData has several node types") as caught:
        as_graph(HeteroData())
    assert "to_homogeneous()" in caught.value.hint
    with pytest.raises(GraphrepError, match='target="a" belongs to HeteroData'):
        from_pyg(data, target="a")
    with pytest.raises(GraphrepError, match="no edge_index"):
        from_pyg(Data(x=torch.ones(2, 1)))


def test_pyg_objects_pass_pygs_own_checks() -> None:
    data = to_pyg(gr.load("karate"))
    assert data.validate()
    assert data.is_undirected()
    assert data.num_nodes == 34


# DGL


def test_dgl_attributes_and_errors() -> None:
    dgl = pytest.importorskip("dgl")
    graph = dgl.graph(([2, 0], [1, 1]), num_nodes=4)
    graph.ndata["x"] = torch.ones(4, 2)
    graph.edata["w"] = torch.tensor([2.0, 3.0])
    found = from_dgl(graph)
    assert found.edge_index.tolist() == [[2, 0], [1, 1]]
    assert found.x.shape == (4, 2)
    assert found.edge_weight.tolist() == [2, 3]
    hetero = dgl.heterograph({("a", "r", "b"): ([0], [0]), ("b", "s", "a"): ([0], [0])})
    with pytest.raises(DTypeError, match="node types"):
        as_graph(hetero)


def test_dgl_agrees_on_degrees() -> None:
    pytest.importorskip("dgl")
    graph = gr.load("karate")
    found = to_dgl(graph)
    assert torch.equal(found.in_degrees(), graph.csr("in").degree().long())
    assert torch.equal(found.out_degrees(), graph.csr("out").degree().long())


def test_without_dgl_the_extra_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "dgl", None)
    with pytest.raises(MissingExtraError) as caught:
        to_dgl(GRAPHS["directed"])
    assert caught.value.hint == 'pip install "graphrep[dgl]"'


# imports


@pytest.mark.parametrize("module", ["graphrep.data", "graphrep.interop", "graphrep.data.check", "graphrep.data.cards"])
def test_packages_import_no_library(module) -> None:
    code = (
        f"import sys, {module}\n"
        "heavy = {'torch', 'torch_geometric', 'networkx', 'sklearn', 'dgl', 'numba', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_reading_imports_no_graph_library(tmp_path) -> None:
    (tmp_path / "e.csv").write_text("a,b\n")
    code = (
        f"import sys, graphrep\ngraphrep.read({str(tmp_path / 'e.csv')!r})\n"
        "heavy = {'torch_geometric', 'networkx', 'sklearn', 'dgl'} & set(sys.modules)\nassert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
