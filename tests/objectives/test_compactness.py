"""Node compactness: golden files, dense loops, soundness on drawn graphs, gradients, degenerate graphs, memory."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import pytest
import torch
from compactness_cases import Problem, contrasts, dense_bounds, dense_scores, permitted_values, problem
from contrast_cases import close
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import leaky_relu

from graphrep.errors import DTypeError, GraphrepError, IndexRangeError, ShapeError, UnknownNameError
from graphrep.kernels import gcn_norm, spmm
from graphrep.objectives import (
    POTLoss,
    adjacency_bounds,
    contrast_vectors,
    gcn_bounds,
    node_compactness,
    pot,
)

Golden = Callable[[str], dict[str, Tensor]]
FILES = ["pot_relu", "pot_prelu", "pot_relu_subset"]
TYPES = [(torch.float64, 1e-10, 1e-10), (torch.float32, 1e-4, 1e-3)]
SOUND = [("ibp", False), ("crown-ibp", False), ("best", False), ("ibp", True), ("crown-ibp", True), ("best", True)]
FORMS = [*SOUND, ("official", False)]


def stored_layers(g: dict[str, Tensor], dtype: torch.dtype) -> list[tuple[Tensor, Tensor]]:
    return [(g[f"W{i}"].to(dtype).requires_grad_(), g[f"b{i}"].to(dtype).requires_grad_()) for i in (1, 2)]


def score(p: Problem, bound: str, tighten: bool = False, **options: Any) -> Tensor:
    return node_compactness(*p.arguments, bound=bound, tighten=tighten, **{**p.options, **options})


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(("dtype", "tol", "_grad_tol"), TYPES)
def test_golden_bounds(
    name: str, dtype: torch.dtype, tol: float, _grad_tol: float, backend: str, golden: Golden
) -> None:
    g = golden(f"pot/{name}")
    count = int(g["num_nodes"])
    bounds = adjacency_bounds(g["edge_index"], num_nodes=count, drop_rate=g["drop_rate"].item(), dtype=dtype)
    assert torch.equal(bounds[2], g["budget"].long())
    close(bounds[1], g["A_lower_diag"], tol)
    close(bounds[0][:, None] * bounds[0] * (g["A_clean_dense"] > 0), g["A_upper_dense"], tol)
    found = gcn_bounds(
        g["x"].to(dtype),
        g["edge_index"].int(),
        stored_layers(g, dtype),
        bounds,
        negative_slope=g["negative_slope"].item(),
    )
    for place, pair in enumerate(found, 1):
        for side, part in zip(("lower", "upper"), pair, strict=True):
            close(part.detach(), g[f"pre{place}_{side}"], tol)
    close(contrast_vectors(g["z2"].to(dtype)), g["w_cl"], tol)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(("dtype", "tol", "grad_tol"), TYPES)
def test_golden_sound_scores(
    name: str, dtype: torch.dtype, tol: float, grad_tol: float, backend: str, golden: Golden
) -> None:
    g = golden(f"pot/{name}")
    x, z = g["x"].to(dtype), g["z2"].to(dtype)
    options = {"drop_rate": g["drop_rate"].item(), "negative_slope": g["negative_slope"].item()}
    for bound, key in (("ibp", "ibp"), ("crown-ibp", "crown_ibp")):
        layers = stored_layers(g, dtype)
        found = node_compactness(x, g["edge_index"], layers, z, bound=bound, **options)
        close(found.detach(), g[f"{key}_score"], tol)
        assert bool((found.double() <= g["bruteforce_min"] + tol).all())
        loss = pot(found)
        close(loss.detach(), g[f"{key}_loss"], tol)
        grads = torch.autograd.grad(loss, (layers[0][0], layers[1][0]))
        for grad, weight in zip(grads, ("W1", "W2"), strict=True):
            close(grad, g[f"{key.split('_')[0]}_loss_grad_{weight}"], grad_tol)
    best = node_compactness(x, g["edge_index"], stored_layers(g, dtype), z, **options)
    close(best.detach(), torch.maximum(g["ibp_score"], g["crown_ibp_score"]), tol)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(("dtype", "tol", "grad_tol"), TYPES)
def test_golden_official_score(
    name: str, dtype: torch.dtype, tol: float, grad_tol: float, backend: str, golden: Golden
) -> None:
    g = golden(f"pot/{name}")
    layers, slope = stored_layers(g, dtype), g["negative_slope"].item()
    z_other = g["x"].to(dtype)
    csr = gcn_norm(g["edge_index_view2"], num_nodes=int(g["num_nodes"]), dtype=dtype)
    for weight, bias in layers:
        z_other = leaky_relu(spmm(csr, z_other @ weight) + bias, slope)
    found = node_compactness(
        g["x"].to(dtype), g["edge_index"], layers, z_other, drop_rate=g["drop_rate"].item(), negative_slope=slope,
        bound="official", view=g["edge_index_view1"], nodes=g["nodes"], induced=True,
    )  # fmt: skip
    close(found.detach(), g["official_score"], tol)
    loss = POTLoss()(found)
    close(loss.detach(), g["official_loss"], tol)
    flat = [tensor for layer in layers for tensor in layer]
    for grad, key in zip(torch.autograd.grad(loss, flat), ("W1", "b1", "W2", "b2"), strict=True):
        close(grad, g[f"official_grad_{key}"], grad_tol)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("slope", [0.0, 0.25, 1.0])
def test_against_dense_loops(seed: int, slope: float, backend: str) -> None:
    p = problem(7 + seed, seed, slope=slope)
    lower, upper, budget = dense_bounds(p)
    scale, own, q = adjacency_bounds(p.edges, num_nodes=len(p.x), drop_rate=p.drop_rate, dtype=torch.float64)
    assert torch.equal(q, budget)
    close(own, lower.diagonal(), 1e-14)
    close(scale.square(), upper.diagonal(), 1e-14)
    close(contrast_vectors(p.z_other), contrasts(p.z_other), 1e-13)
    for bound, wanted in dense_scores(p).items():
        close(score(p, bound), wanted, 1e-12)


@pytest.mark.parametrize(("bound", "tighten"), SOUND)
@given(
    st.integers(2, 9),
    st.integers(0, 10_000),
    st.sampled_from([0.0, 0.1, 0.25, 1.0]),
    st.sampled_from([0.2, 0.4, 0.7, 1.0]),
)
@settings(max_examples=15, deadline=None)
def test_never_above_a_permitted_graph(
    bound: str, tighten: bool, count: int, seed: int, slope: float, drop_rate: float
) -> None:
    p = problem(count, seed, slope=slope, drop_rate=drop_rate)
    least = permitted_values(p, 2000, seed).amin(0)
    assert bool((score(p, bound, tighten) <= least + 1e-10).all())


def test_the_official_score_is_no_bound() -> None:
    """What the documentation says: on most nodes of small graphs it lies above values that do occur."""
    above = [
        bool(over)
        for seed in range(4)
        for p in [problem(12, seed, slope=0.0)]
        for over in score(p, "official") > permitted_values(p, 500, seed).amin(0)
    ]
    assert sum(above) > len(above) / 2


def test_tightened_intervals_lie_inside(backend: str) -> None:
    narrower = 0.0
    for seed in range(5):
        p = problem(12, seed)
        bounds = adjacency_bounds(p.edges, num_nodes=12, drop_rate=0.4, dtype=torch.float64)
        wide, tight = (
            gcn_bounds(p.x, p.edges, p.layers, bounds, negative_slope=p.slope, tighten=t) for t in (False, True)
        )
        for (low, high), (inner_low, inner_high) in zip(wide, tight, strict=True):
            assert bool((inner_low >= low - 1e-12).all() and (inner_high <= high + 1e-12).all())
            narrower += float((inner_low - low).sum() + (high - inner_high).sum())
        assert bool((score(p, "ibp", True) >= score(p, "ibp") - 1e-12).all())
    assert narrower > 1


def test_nothing_to_drop_and_nothing_to_relax_is_the_value_itself() -> None:
    """A linear encoder on the one permitted graph; only the tightened form knows that no entry may vanish."""
    p = problem(10, 3, slope=1.0, drop_rate=0.0)
    value = permitted_values(p, 1)[0]
    close(score(p, "crown-ibp", True), value, 1e-12)
    assert float((value - score(p, "crown-ibp")).max()) > 0.1


@pytest.mark.parametrize(("bound", "tighten"), FORMS)
def test_gradients(bound: str, tighten: bool, backend: str) -> None:
    p = problem(7, 5)
    leaves = [t.clone().requires_grad_() for layer in p.layers for t in layer]
    leaves += [p.x.clone().requires_grad_(), p.z_other.clone().requires_grad_()]
    slope = torch.tensor([0.25], dtype=torch.float64, requires_grad=True)

    def value(w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, x: Tensor, z: Tensor, a: Tensor) -> Tensor:
        layers = [(w1, b1), (w2, b2)]
        return node_compactness(x, p.edges, layers, z, drop_rate=0.4, negative_slope=a, bound=bound, tighten=tighten)

    assert torch.autograd.gradcheck(value, (*leaves, slope), eps=1e-7, atol=1e-5, fast_mode=True)


@pytest.mark.parametrize(("bound", "tighten"), FORMS)
@given(st.integers(1, 12), st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_nodes_in_another_order(bound: str, tighten: bool, count: int, seed: int) -> None:
    p = problem(count, seed)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    place = order.argsort()
    turned = Problem(p.x[order], place[p.edges], p.layers, p.z_other[order], p.slope, p.drop_rate)
    close(score(turned, bound, tighten), score(p, bound, tighten)[order], 1e-11)


@pytest.mark.parametrize(("bound", "tighten"), FORMS)
def test_toy_graphs_have_finite_scores_and_gradients(
    bound: str, tighten: bool, toy_graph: tuple[int, Tensor], backend: str
) -> None:
    count, edges = toy_graph
    p = problem(max(count, 2), 1)
    weights = [t.clone().requires_grad_() for layer in p.layers for t in layer]
    layers = [(weights[0], weights[1]), (weights[2], weights[3])]
    z = p.z_other[:count].clone().requires_grad_()
    x = p.x[:count].clone()
    x[0] = 0  # with no bias: lower and upper bound are both 0
    layers[0] = (weights[0], weights[1] * 0)
    found = node_compactness(x, edges, layers, z, drop_rate=0.5, bound=bound, tighten=tighten)
    assert found.shape == (count,)
    for tensor in (found, *torch.autograd.grad(pot(found), (*weights, z))):
        assert bool(tensor.isfinite().all())
    plain = edges[:, edges[0] != edges[1]].unique(dim=1)
    close(found, node_compactness(x, plain, layers, z, drop_rate=0.5, bound=bound, tighten=tighten), 1e-12)


def test_probabilities_per_edge() -> None:
    p = problem(10, 2)
    same = torch.full((p.edges.shape[1],), 0.4, dtype=torch.float64)
    a = adjacency_bounds(p.edges, num_nodes=10, edge_prob=same, dtype=torch.float64)
    b = adjacency_bounds(p.edges, num_nodes=10, drop_rate=0.4, dtype=torch.float64)
    degree = torch.bincount(p.edges[1], minlength=10)
    exact = (0.4 * degree.double() % 1 - 0.5).abs() > 1e-9  # sums of 0.4 round like multiples unless they end in .5
    assert torch.equal(a[2][exact], b[2][exact])
    twice = torch.cat([p.edges, p.edges], 1)
    c = adjacency_bounds(twice, num_nodes=10, edge_prob=torch.cat([same / 4, same]), dtype=torch.float64)
    assert torch.equal(a[2], c[2])
    options = {"edge_prob": same, "negative_slope": p.slope}
    close(
        node_compactness(*p.arguments, bound="ibp", **options)[exact.all() : :], score(p, "ibp")[exact.all() : :], 1e-12
    )


def test_budgets_round_half_to_even_and_keep_one_edge() -> None:
    sources = torch.arange(1, 6)
    rows = {5: sources, 0: sources[:0], 1: sources[1:2]}  # node 0 has 5 in-edges, node 1 one
    edges = torch.stack([torch.cat([rows[5], rows[1]]), torch.tensor([0] * 5 + [1])])
    for rate, wanted in ((0.5, 2), (0.3, 2), (0.1, 0), (1.0, 4)):  # 2.5 -> 2, 1.5 -> 2, 0.5 -> 0
        budget = adjacency_bounds(edges, num_nodes=6, drop_rate=rate)[2]
        assert budget.tolist() == [wanted, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(("bound", "tighten"), FORMS)
def test_float32(bound: str, tighten: bool, backend: str) -> None:
    p = problem(30, 4)
    narrow = score(p.to(torch.float32), bound, tighten)
    assert narrow.dtype == torch.float32
    close(narrow, score(p, bound, tighten), 1e-5)  # sums of some tens of terms


def test_some_nodes() -> None:
    p = problem(9, 6)
    chosen = torch.tensor([4, 0, 8])
    for bound, tighten in FORMS:
        close(score(p, bound, tighten, nodes=chosen.int()), score(p, bound, tighten)[chosen], 1e-14)
    everything = torch.arange(9)
    close(score(p, "official", nodes=everything, induced=True), score(p, "official"), 1e-12)
    one = score(p, "official", nodes=torch.tensor([3]), induced=True)
    assert one.shape == (1,)
    assert bool(one.isfinite())


def test_no_nodes_and_half_types() -> None:
    p = problem()
    nothing = (p.x[:0], torch.empty(2, 0, dtype=torch.int64), p.layers, p.z_other[:0])
    for bound, tighten in FORMS:
        assert node_compactness(*nothing, drop_rate=0.3, bound=bound, tighten=tighten).shape == (0,)
        if not tighten:
            half = score(p.to(torch.bfloat16), bound)
            assert half.dtype == torch.bfloat16
            close(half, score(p, bound), 0.05)  # every intermediate is rounded to 8 bits
    close(node_compactness(p.x, p.edges, p.layers, p.z_other.float(), **p.options), score(p, "best"), 1e-6)


def test_loss() -> None:
    scores = torch.tensor([-800.0, -1.0, 0.0, 30.0], dtype=torch.float64)
    wanted = torch.tensor([800.0, 1.3132616875182228, 0.6931471805599453, 9.357622968839299e-14], dtype=torch.float64)
    torch.testing.assert_close(pot(scores, reduction="none"), wanted, rtol=1e-12, atol=0)
    assert POTLoss(reduction="none")(scores).shape == (4,)


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"bound": "exact"}, UnknownNameError, "bound"),
    ({"drop_rate": None}, GraphrepError, "Exactly one"),
    ({"edge_prob": torch.rand(3)}, ShapeError, "edge_prob"),
    ({"drop_rate": 1.5}, GraphrepError, "drop_rate is 1.5"),
    ({"negative_slope": -0.1}, GraphrepError, "slope"),
    ({"negative_slope": 1.1}, GraphrepError, "slope"),
    ({"negative_slope": torch.tensor([0.1, 0.2])}, ShapeError, "one slope"),
    ({"bound": "ibp", "induced": True, "nodes": torch.tensor([0])}, GraphrepError, "no meaning"),
    ({"bound": "official", "induced": True}, GraphrepError, "needs nodes"),
    ({"bound": "official", "induced": True, "nodes": torch.tensor([1, 1])}, GraphrepError, "twice"),
    ({"bound": "official", "tighten": True}, GraphrepError, "tightened"),
    ({"nodes": torch.tensor([99])}, IndexRangeError, "99"),
]


@pytest.mark.parametrize(("change", "error", "message"), REFUSED)
def test_refuses(change: dict[str, Any], error: type[Exception], message: str) -> None:
    p = problem()
    with pytest.raises(error, match=message):
        node_compactness(*p.arguments, **{**p.options, **change})


def test_refuses_what_does_not_fit() -> None:
    p = problem()
    with pytest.raises(ShapeError, match="two"):
        node_compactness(p.x, p.edges, p.layers[:1], p.z_other, drop_rate=0.1)
    with pytest.raises(ShapeError, match="W1"):
        node_compactness(p.x[:, :2], p.edges, p.layers, p.z_other, drop_rate=0.1)
    with pytest.raises(DTypeError, match=r"W1 is torch\.float64"):
        node_compactness(p.x.float(), p.edges, p.layers, p.z_other, drop_rate=0.1)
    with pytest.raises(DTypeError, match="smallest sums"):
        node_compactness(*p.to(torch.bfloat16).arguments, drop_rate=0.1, tighten=True)
    with pytest.raises(ShapeError, match="z_other"):
        node_compactness(p.x, p.edges, p.layers, p.z_other[1:], drop_rate=0.1)
    with pytest.raises(GraphrepError, match="lie in"):
        adjacency_bounds(p.edges, num_nodes=9, edge_prob=torch.full((p.edges.shape[1],), 1.5))
    with pytest.raises(ShapeError, match="no score"):
        pot(torch.empty(0))


@pytest.mark.parametrize(("bound", "tighten"), [("official", False), ("best", False), ("best", True)])
def test_memory_grows_with_nodes_and_edges(bound: str, tighten: bool) -> None:
    """20,000 nodes: an N x N array of float32 would take 1,600 MB, one of E x d 51 MB per copy."""
    code = f"""
    import torch
    from pathlib import Path
    from graphrep.objectives import node_compactness, pot

    def resident(key):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(key + ":"))

    def step(count):
        edges = torch.randint(0, count, (2, 5 * count), generator=torch.Generator().manual_seed(0))
        x = torch.randn(count, 16)
        layers = [(torch.randn(16, 64, requires_grad=True), torch.zeros(64)), (torch.randn(64, 32), torch.zeros(32))]
        score = node_compactness(
            x, edges, layers, torch.rand(count, 32), drop_rate=0.3, bound={bound!r}, tighten={tighten}
        )
        pot(score).backward()
        return layers[0][0].grad.isfinite().all()

    torch.set_num_threads(1)
    assert step(200)
    before = resident("VmHWM")
    assert step(20000)
    print(resident("VmHWM") - before)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "GRAPHREP_POOL_BYTES": "0"}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) * 1024 < 450e6  # mostly what backward keeps: some 60 arrays of N x 64
