"""FastRP: golden vectors, the equations in dense float64, edge cases and errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fastrp_cases import dense_adjacency, dense_fastrp, random_graph

from graphrep.data import Graph
from graphrep.data.check import GraphWarning
from graphrep.errors import (
    DTypeError,
    GraphrepError,
    MissingFeaturesError,
    NonFiniteError,
    ShapeError,
    UnknownNameError,
)
from graphrep.kernels import CSR
from graphrep.methods import FastRP

GOLDEN = Path(__file__).parents[1] / "golden" / "fastrp"
TOLERANCE = {torch.float64: 1e-10, torch.float32: 2e-6}


def close(got, want, tolerance):
    want = torch.as_tensor(want).double()
    assert got.shape == want.shape
    if want.numel() == 0:
        return
    error = (got.double() - want).abs().max()
    assert error <= tolerance * max(float(want.abs().max()), 1.0), float(error)


# values


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", ["unweighted", "weighted"])
def test_powers_and_merges_of_the_published_code(name, dtype):
    with np.load(GOLDEN / f"powers_karate_{name}.npz", allow_pickle=False) as golden:
        arrays = dict(golden)
    value = torch.from_numpy(arrays["A_data"]).to(dtype) if (arrays["A_data"] != 1).any() else None
    csr = CSR(torch.from_numpy(arrays["A_indptr"]), torch.from_numpy(arrays["A_indices"]), value, num_cols=34)
    keys = [key for key in arrays if key.endswith("_powers")]
    assert keys
    for key in keys:
        matrix, exponent = key.removesuffix("_powers").split("_alpha")
        options = {
            "dim": int(arrays["d"]),
            "weights": tuple(arrays["weights"].tolist()),
            "degree_exponent": 0.0 if exponent == "none" else float(exponent),
            "transition": matrix == "trans",
            "dtype": dtype,
        }
        powers = FastRP(**options).powers(csr, projection=torch.from_numpy(arrays["R"]).to(dtype))
        close(powers, arrays[key], TOLERANCE[dtype])
        prefix = key.removesuffix("_powers")
        for norm in ("norm", "nonorm"):
            model = {**options, "normalize": norm == "norm"}
            close(FastRP(**model).merge(powers), arrays[f"{prefix}_{norm}_sum"], TOLERANCE[dtype])
            close(FastRP(**model, concat=True).merge(powers), arrays[f"{prefix}_{norm}_concat"], TOLERANCE[dtype])
            standardised = FastRP(**model, standardize=True).merge(powers)
            wide = 1e-10 if dtype == torch.float64 else 5e-5
            close(standardised, arrays[f"{prefix}_{norm}_sum_standardised"], wide)
            fused = FastRP(**model).fit_transform(csr, init=torch.from_numpy(arrays["R"]))
            close(fused, arrays[f"{prefix}_{norm}_sum"], TOLERANCE[dtype])
            fused = FastRP(**model, concat=True).fit_transform(csr, init=torch.from_numpy(arrays["R"]))
            close(fused, arrays[f"{prefix}_{norm}_concat"], TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_gds_example(dtype):
    with np.load(GOLDEN / "gds_persons.npz", allow_pickle=False) as golden:
        a = {key: torch.from_numpy(golden[key]) for key in golden.files if golden[key].dtype.kind in "if"}
    edges = torch.stack([a["src"], a["dst"]])

    def fit(weighted=False, x=None, **options):
        graph = Graph(edges, a["weight"] if weighted else None, x=x, num_nodes=7, ids=a["node_id"])
        model = FastRP(rng="gds", dtype=dtype, **options)
        return model, model.fit_transform(graph)

    exact = 1e-10 if dtype == torch.float64 else 1e-6
    model, z = fit(dim=4, seed=42)
    close(model.projection_, a["initial_random_d4_seed42"], exact)
    close(z, a["unweighted_d4_seed42_f64"], exact)
    close(z, a["doc_unweighted_d4_seed42"], 1e-6)
    _, z = fit(True, dim=4, seed=42)
    close(z, a["weighted_d4_seed42_f64"], exact)
    close(z, a["doc_weighted_d4_seed42"], 1e-6)
    model, z = fit(True, dim=6, seed=7, weights=(0.5, 1.0, 2.0), degree_exponent=-0.5, self_weight=0.8)
    assert z.shape == (7, 6)
    model, z = fit(True, dim=6, seed=7, weights=(0.0, 0.5, 1.0, 2.0), degree_exponent=-0.5, self_weight=0.8)
    close(model.projection_, a["initial_random_d6_seed7_ns_m0p5"], exact)
    close(z, a["weighted_d6_seed7_iw0_0p5_1_2_ns_m0p5_nsi0p8"], exact)
    model, z = fit(x=a["age"], dim=2, seed=42, weights=(1.0,), feature_ratio=1.0)
    close(model.feature_projection_, a["age_only_d2_seed42_property_vectors"], exact)
    close(z, a["age_only_d2_seed42"], 1e-6)


OPTIONS = [
    {},
    {"weights": (1.0,)},
    {"weights": (0.0, 0.0, 1.0, 6.67), "degree_exponent": -0.64, "standardize": True},
    {"weights": (1.0, 1.0, 7.8, 45.3), "self_weight": 0.5, "degree_exponent": -0.628},
    {"weights": (1.0, 0.0, 2.0, 0.0), "normalize": False, "transition": False},
    {"density": "gaussian", "self_weight": 1.0, "weights": (0.0, 2.0)},
    {"density": "auto"},
    {"feature_ratio": 0.5, "weights": (0.0, 0.0, 1.0)},
    {"feature_ratio": 1.0, "feature_scale": "standard", "self_weight": 1.0},
    {"rng": "gds", "degree_exponent": -0.5, "feature_ratio": 0.25, "weights": (0.3, 0.0, 1.5), "self_weight": 0.7},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("direction", ["out", "in", "both"])
def test_fused_pass_against_dense_equations(options, weighted, direction):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(61, 3, generator=generator)
    graph = random_graph(60, 300, weighted=weighted, undirected=False).replace(num_nodes=61, x=x)  # node 60 is isolated
    options = {"weights": (0.0, 1.0, 1.0), **options}
    model = FastRP(dim=12, direction=direction, dtype=torch.float64, **options)
    with pytest.warns(GraphWarning, match="no neighbours"):
        z = model.fit_transform(graph)
    with pytest.warns(GraphWarning):
        plain = FastRP(dim=12, **{**options, "degree_exponent": 0.0}).fit(graph).projection_
    matrix = dense_adjacency(graph, direction)
    counts = dense_adjacency(graph.replace(edge_weight=None), direction).sum(1)
    strength = counts if options.get("rng") == "gds" else matrix.sum(1)
    scale = torch.where(strength > 0, strength, 1.0) ** options.get("degree_exponent", 0.0)
    width = 12 - int(12 * options.get("feature_ratio", 0.0))
    close(model.projection_[:, :width], plain[:, :width] * scale[:, None], 1e-6)  # features are not scaled
    close(model.projection_[:, width:], plain[:, width:], 1e-6)
    names = {"weights", "self_weight", "transition", "normalize", "standardize"}
    equations = {key: options[key] for key in options.keys() & names}
    want = dense_fastrp(matrix, model.projection_, strength=strength, **equations)
    close(z, want, 1e-10)
    with pytest.warns(GraphWarning):
        single = FastRP(dim=12, direction=direction, **options).fit_transform(graph)
    close(single, want, 5e-5 if options.get("standardize") else 5e-6)


def test_start_vectors_have_unit_length_on_average():
    graph = random_graph(2000, 4000, seed=4)
    edges = torch.cat([graph.edge_index, torch.arange(2000).repeat(2, 1)], dim=1)
    for density in (1 / 3, 0.05, "gaussian"):
        start = FastRP(dim=64, density=density, weights=(1.0,)).fit(Graph(edges, num_nodes=2000)).projection_
        assert abs(start.square().sum(1).mean().item() - 1) < 0.05


def test_bfloat16_storage_is_close_and_half_precision_is_returned():
    graph = random_graph(300, 3000, seed=2)
    exact = FastRP(dim=64, weights=(0.0, 0.0, 1.0, 2.0)).fit_transform(graph)
    stored = FastRP(dim=64, weights=(0.0, 0.0, 1.0, 2.0), storage=torch.bfloat16).fit_transform(graph)
    assert stored.dtype == torch.float32
    # three roundings of relative size 2^-9 per entry, averaged over about 20 neighbours
    assert (stored - exact).norm(dim=1).max() < 0.02 * exact.norm(dim=1).max()
    assert not torch.equal(stored, exact)
    for dtype in (torch.bfloat16, torch.float16):
        z = FastRP(dim=64, weights=(0.0, 0.0, 1.0, 2.0), dtype=dtype).fit_transform(graph)
        assert z.dtype == dtype
        assert (z.float() - exact).abs().max() < 0.05


# edge cases


def test_toy_graphs_give_finite_rows(toy_graph, recwarn):
    num_nodes, edges = toy_graph
    for options in ({}, {"weights": (0, 0, 1, 2), "degree_exponent": -0.6, "standardize": True}, {"concat": True}):
        z = FastRP(dim=32, **options).fit_transform(Graph(edges, num_nodes=num_nodes))
        assert z.shape == (num_nodes, 32 * (3 if options.get("concat") else 1))
        assert bool(torch.isfinite(z).all())


def test_isolated_nodes_are_zero_and_counted_once():
    graph = Graph(torch.tensor([[0, 1], [1, 0]]), num_nodes=4)
    with pytest.warns(GraphWarning, match=r"2 of 4 nodes have no neighbours") as caught:
        model = FastRP(dim=8, degree_exponent=-0.5).fit(graph)
    assert len(caught) == 1
    assert not model.embedding_[2:].any()
    assert bool((model.embedding_[:2] != 0).any(dim=1).all())
    with pytest.warns(GraphWarning):
        z = FastRP(dim=64, self_weight=2.0).fit_transform(graph)
    torch.testing.assert_close(z[2:].norm(dim=1), torch.full((2,), 2.0))


def test_sinks_of_a_directed_graph_are_zero():
    graph = Graph(torch.tensor([[0, 1], [1, 2]]), num_nodes=3)
    with pytest.warns(GraphWarning, match="1 of 3"):
        out = FastRP(dim=16, weights=(1.0,)).fit_transform(graph)
    assert not out[2].any()
    assert out[0].any()
    with pytest.warns(GraphWarning, match="1 of 3"):
        inward = FastRP(dim=16, weights=(1.0,), direction="in").fit_transform(graph)
    assert not inward[0].any()
    both = FastRP(dim=16, weights=(1.0,), direction="both").fit_transform(graph)
    assert bool(both.any(dim=1).all())


@pytest.mark.parametrize("num_nodes", [0, 1, 2])
def test_tiny_graphs(num_nodes, recwarn):
    edges = torch.zeros(2, 0, dtype=torch.int64)
    for options in ({}, {"standardize": True}, {"density": "gaussian"}, {"dtype": torch.float64, "keep_powers": True}):
        assert FastRP(dim=5, **options).fit_transform(Graph(edges, num_nodes=num_nodes)).shape == (num_nodes, 5)


def test_more_coordinates_than_nodes():
    assert FastRP(dim=500).fit_transform(Graph(torch.tensor([[0, 1], [1, 0]]))).shape == (2, 500)


def test_parallel_edges_count_unless_coalesced():
    edges = torch.tensor([[0, 0, 0, 1, 1, 2], [1, 1, 2, 0, 0, 0]])
    simple = torch.tensor([[0, 0, 1, 2], [1, 2, 0, 0]])
    weight = torch.tensor([2.0, 1.0, 2.0, 1.0])
    want = FastRP(dim=8, seed=3).fit_transform(Graph(simple, weight))
    assert torch.allclose(FastRP(dim=8, seed=3).fit_transform(Graph(edges)), want, atol=1e-6)
    plain = FastRP(dim=8, seed=3).fit_transform(Graph(simple))
    assert torch.equal(FastRP(dim=8, seed=3, coalesce=True).fit_transform(Graph(edges)), plain)
    doubled = Graph(edges, torch.tensor([0.5, 1.5, 1.0, 1.5, 0.5, 1.0]))
    assert torch.allclose(FastRP(dim=8, seed=3, coalesce=True).fit_transform(doubled), want, atol=1e-6)


def test_what_is_accepted_as_a_graph():
    import networkx as nx
    import scipy.sparse as sp
    from torch_geometric.data import Data

    edges = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    want = FastRP(dim=8).fit_transform(edges)
    assert torch.equal(FastRP(dim=8).fit_transform(edges.int()), want)
    assert torch.equal(FastRP(dim=8).fit_transform(Data(edge_index=edges, num_nodes=3)), want)
    assert torch.equal(FastRP(dim=8).fit_transform(nx.path_graph(3)), want)
    ones = sp.csr_array((np.ones(4, np.float32), edges.numpy()), shape=(3, 3))
    assert torch.allclose(FastRP(dim=8).fit_transform(ones), want, atol=1e-6)
    assert torch.equal(FastRP(dim=8).fit_transform(CSR.from_edge_index(edges)), want)


def test_inputs_stay_as_they_were():
    graph = random_graph(30, 200, weighted=True, x=torch.randn(30, 4))
    init = torch.randn(30, 8)
    copies = [graph.edge_index.clone(), graph.edge_weight.clone(), graph.x.clone(), init.clone()]
    FastRP(dim=8, degree_exponent=-0.5, weights=(1, 1, 1)).fit(graph, init=init)
    FastRP(dim=8, feature_ratio=1.0, feature_scale="standard", weights=(1, 1, 1)).fit(graph)
    FastRP(dim=8, weights=(0, 1, 1)).fit(graph, init=init)
    for now, then in zip([graph.edge_index, graph.edge_weight, graph.x, init], copies, strict=True):
        assert torch.equal(now, then)


def test_negative_weights():
    graph = Graph(torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), torch.tensor([1.0, 1.0, -2.0, -2.0]))
    with pytest.raises(GraphrepError, match=r"2 of 4 edges have a negative weight \(first: edge 2\)") as caught:
        FastRP(dim=4).fit(graph)
    assert "abs_degree=True" in caught.value.hint
    z = FastRP(dim=4, abs_degree=True, weights=(1.0,), normalize=False, dtype=torch.float64).fit(graph)
    want = torch.tensor([[0, 1, 0], [1 / 3, 0, -2 / 3], [0, -1, 0]], dtype=torch.float64) @ z.projection_
    close(z.embedding_, want, 1e-12)


# estimator surface


def test_parameters_clone_and_repr():
    import sklearn.base

    model = FastRP(dim=16, weights=[0, 1], dtype=torch.float64, seed=4)
    copy = sklearn.base.clone(model)
    assert copy.get_params() == model.get_params()
    assert repr(model) == "FastRP(dim=16, weights=[0, 1], seed=4, dtype=torch.float64)"
    assert model.set_params(dim=8, seed=1).dim == 8
    with pytest.raises(UnknownNameError, match='Did you mean "weights"'):
        model.set_params(weight=(1,))
    with pytest.raises(AttributeError, match="not fitted"):
        _ = copy.projection_


def test_fit_results_and_dtype_by_name():
    graph = random_graph(20, 200)
    model = FastRP(dim=8, dtype="float64")
    assert model.fit(graph) is model
    assert model.embedding_.dtype == torch.float64
    assert torch.equal(model.embed(graph), model.embedding_)
    assert model.feature_projection_.shape == (0, 0)


def test_estimate_is_close_to_what_is_allocated():
    small = FastRP(dim=256, weights=(0, 0, 1, 6.67)).estimate(1_000_000, 20_000_000)
    assert 2 * 1.024e9 < small.bytes < 2.3e9  # two buffers and the matrix
    assert small.seconds > 0
    three = FastRP(dim=256, weights=(1, 1, 1)).estimate(1_000_000, 20_000_000)
    assert 3 * 1.024e9 < three.bytes < 3.3e9
    half = FastRP(dim=256, weights=(0, 0, 1, 6.67), storage=torch.bfloat16).estimate(1_000_000, 20_000_000)
    assert half.bytes < 2.3e9


def test_progress_reports_every_power():
    calls = []
    FastRP(dim=8, weights=(0, 0, 1, 2)).fit(random_graph(30, 300), progress=lambda *a: calls.append(a))
    assert sorted({power for power, _, _ in calls}) == [1, 2, 3, 4]
    assert all(done <= total == 600 for _, done, total in calls)


# errors


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"dim": 0}, ShapeError, "dim must be at least 1; got 0"),
        ({"dim": 2.5}, DTypeError, "dim must be an integer"),
        ({"weights": ()}, GraphrepError, "weights is empty"),
        ({"weights": (0.0, 0.0)}, GraphrepError, "All weights are 0"),
        ({"weights": 1.0}, DTypeError, "sequence of numbers"),
        ({"weights": (1.0, float("nan"))}, GraphrepError, r"weights\[1\] must be finite"),
        ({"density": 0.0}, GraphrepError, "density must lie in"),
        ({"density": "sparse"}, UnknownNameError, "'sparse'"),
        ({"density": "auto", "rng": "gds"}, GraphrepError, "density 1/3 always"),
        ({"rng": "philox"}, UnknownNameError, "'philox'"),
        ({"direction": "up"}, UnknownNameError, "'up'"),
        ({"feature_ratio": 1.5}, GraphrepError, r"feature_ratio must lie in \[0, 1\]; got 1.5"),
        ({"feature_ratio": 0.5}, MissingFeaturesError, "no node features"),
        ({"dtype": torch.int64}, DTypeError, "dtype must be"),
        ({"dtype": torch.float64, "storage": torch.bfloat16}, DTypeError, "does not go with"),
        ({"seed": "x"}, DTypeError, "seed must be an integer"),
    ],
)
def test_meaningless_parameters(options, error, message):
    with pytest.raises(error, match=message):
        FastRP(**options).fit(torch.tensor([[0, 1], [1, 0]]))


def test_meaningless_inputs():
    edges = torch.tensor([[0, 1], [1, 0]])
    with pytest.raises(ShapeError, match=r"init has shape \(2, 3\); the graph has 2 nodes and dim is 4"):
        FastRP(dim=4).fit(edges, init=torch.ones(2, 3))
    with pytest.raises(NonFiniteError, match=r"init\[1, 0\] is nan"):
        FastRP(dim=1).fit(edges, init=torch.tensor([[0.0], [float("nan")]]))
    with pytest.raises(ShapeError, match="2 x 3"):
        FastRP(dim=4).fit(CSR(torch.tensor([0, 1, 2]), torch.tensor([0, 2]), num_cols=3))
    with pytest.raises(NonFiniteError, match=r"value\[1\] is inf"):
        FastRP(dim=4).fit(CSR(torch.tensor([0, 1, 2]), torch.tensor([0, 1]), torch.tensor([1.0, float("inf")])))
    with pytest.raises(ShapeError, match="2 powers and 3 weights"):
        FastRP(dim=4).merge(torch.ones(2, 5, 4))
    with pytest.raises(ShapeError, match=r"\(q, N, d\)"):
        FastRP(dim=4).merge(torch.ones(5, 4))
