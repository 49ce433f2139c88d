"""influence_contrast: golden files, loops over pairs for each form, bounds, odd inputs, memory, errors."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest
import torch
from contrast_cases import close
from hypothesis import given, settings
from hypothesis import strategies as st
from structure_cases import (
    approximated,
    denominators,
    drawn,
    golden_influence,
    members,
    meta_node_loss,
    positives,
    random_influence,
)
from torch import Tensor
from torch.nn.functional import normalize

from graphrep.errors import DTypeError, GraphrepError, IndexRangeError, ShapeError, UnknownNameError
from graphrep.kernels import CSR, influence_matrix
from graphrep.objectives import (
    InfluenceContrastLoss,
    clustering_kl,
    influence,
    influence_contrast,
    pamc,
    student_t,
    target_distribution,
)

Golden = Callable[[str], dict[str, Tensor]]
TYPES = [(torch.float64, torch.int64, 1e-12, 1e-11), (torch.float32, torch.int32, 2e-6, 2e-6)]
FORMS = ("exact", "cluster_rows", "cluster_pairs", "pamc")


# values


@pytest.mark.parametrize("name", ["iac_loss_r2", "scgc_loss_power_r3"])
@pytest.mark.parametrize(("dtype", "index", "tol", "grad_tol"), TYPES)
@pytest.mark.usefixtures("both_forms")
def test_golden(
    name: str, dtype: torch.dtype, index: torch.dtype, tol: float, grad_tol: float, backend: str, golden: Golden
) -> None:
    g = golden(f"scgc/{name}")
    z = g["z"].to(dtype).requires_grad_()
    csr, tau = golden_influence(g, dtype, index), float(g["tau"])
    rows = influence_contrast(z, csr, inv_temperature=tau, reduction="none")
    close(rows.detach(), g["per_node"], tol)
    loss = influence_contrast(z, csr, inv_temperature=tau)
    close(loss.detach(), g["loss"], tol)
    close(torch.autograd.grad(loss, z)[0], g["grad_z"], grad_tol)


@pytest.mark.parametrize(("dtype", "index", "tol", "grad_tol"), TYPES)
def test_golden_sum_with_the_divergence(
    dtype: torch.dtype, index: torch.dtype, tol: float, grad_tol: float, backend: str, golden: Golden
) -> None:
    g = golden("scgc/total_scgc_star")
    z, mu = (g[key].to(dtype).requires_grad_() for key in ("z", "mu"))
    q = student_t(z, mu)
    contrast = influence_contrast(z, golden_influence(g, dtype, index), inv_temperature=float(g["tau"]))
    divergence = clustering_kl(q, target_distribution(q))
    total = float(g["alpha"]) * contrast + float(g["beta"]) * divergence
    for found, key in ((contrast, "contrast"), (divergence, "kl"), (total, "total")):
        close(found.detach(), g[key], tol)
    for found, key in zip(torch.autograd.grad(total, (z, mu)), ("grad_z", "grad_mu"), strict=True):
        close(found, g[key], grad_tol)


@pytest.mark.parametrize("count", [1, 2, 40])
@pytest.mark.usefixtures("both_forms")
def test_exact_against_loops(count: int, backend: str) -> None:
    z, csr = drawn(count, 5), random_influence(count, 2 * count)
    for eps in (1e-8, 0.1, 0.0):
        found = influence_contrast(z, csr, inv_temperature=0.8, eps=eps, reduction="none")
        wanted = -(positives(z, csr, 0.8) / denominators(z, 0.8) + eps).log()
        close(found.detach(), wanted.detach(), 1e-12)
        close(*(torch.autograd.grad(loss.sum(), z)[0] for loss in (found, wanted)), 1e-11)


@pytest.mark.parametrize("labels", [[0, 1, 2] * 7, [4, 0, 4] * 7, [0] * 21, [1_000_000_000, 7, 7] * 7])
def test_clusters_against_loops(labels: list[int], backend: str) -> None:
    """Clusters in any order, empty ones in between, a single one, labels that nobody counts up to."""
    z, csr, tau = drawn(21, 4), random_influence(21, 40), 1.3
    given_labels = torch.tensor(labels)
    positive = positives(z, csr, tau)
    rows, pairs = approximated(z, given_labels, tau)
    for form, denominator in (("cluster_rows", rows), ("cluster_pairs", pairs / 21)):
        options = {"inv_temperature": tau, "negatives": form, "labels": given_labels, "reduction": "none"}
        found, wanted = influence_contrast(z, csr, **options), -(positive / denominator + 1e-8).log()
        close(found.detach(), wanted.detach(), 1e-12)
        close(*(torch.autograd.grad(loss.sum(), z, retain_graph=True)[0] for loss in (found, wanted)), 1e-11)


@pytest.mark.usefixtures("both_forms")
def test_the_published_term_against_loops(backend: str) -> None:
    z, csr, labels = drawn(15, 4), random_influence(15, 30), torch.arange(15) % 3
    nodes = torch.stack([z[group].sum(0) for group in members(labels)])
    wanted = meta_node_loss(z, nodes, csr, 0.5, eps=1e-8)
    options = {"inv_temperature": 0.5, "negatives": "pamc", "labels": labels}
    found = influence_contrast(z, csr, **options)
    close(found.detach(), wanted.detach(), 1e-12)
    close(*(torch.autograd.grad(loss, z)[0] for loss in (found, wanted)), 1e-11)
    close(influence_contrast(z, csr, reduction="none", **options).mean().detach(), found.detach(), 1e-14)
    close(pamc(z, labels, csr, eps=1e-8).detach(), found.detach(), 1e-14)


@pytest.mark.parametrize("negatives", FORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_narrow_types(negatives: str, dtype: torch.dtype, backend: str) -> None:
    """The numbers as given are exact; sums over 60 nodes are rounded in float32."""
    z, csr, labels = drawn(60, 10, dtype=dtype), random_influence(60, 150), torch.arange(60, dtype=torch.int32) % 4
    options = {"inv_temperature": 0.5, "negatives": negatives, "labels": labels}
    found = influence_contrast(z, csr, **options)
    wide = z.detach().double().requires_grad_()
    wanted = influence_contrast(wide, csr, **options)
    assert found.dtype == torch.float32
    close(found.detach(), wanted.detach(), 1e-6)
    grads = [torch.autograd.grad(loss, x)[0] for loss, x in ((found, z), (wanted, wide))]
    assert grads[0].dtype == dtype
    close(*grads, 1e-6 if dtype == torch.float32 else 2**-8 * float(grads[1].abs().max()))


@pytest.mark.parametrize("negatives", FORMS)
@pytest.mark.usefixtures("both_forms")
def test_gradcheck(negatives: str, backend: str) -> None:
    z, csr, labels = drawn(6, 3), random_influence(6, 9), torch.tensor([0, 1, 1, 0, 2, 2])
    assert csr.value is not None
    value = csr.value.clone().requires_grad_()

    def function(z: Tensor, value: Tensor) -> Tensor:
        options = {"inv_temperature": 0.7, "negatives": negatives, "labels": labels, "reduction": "none"}
        return influence_contrast(z, csr.with_value(value), **options)

    assert torch.autograd.gradcheck(function, (z, value))


# properties


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 60), st.integers(0, 120), st.integers(1, 5), st.integers(0, 1000))
def test_the_order_of_nodes_and_lengths_of_rows_do_not_matter(
    count: int, num_edges: int, clusters: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    z, edges = drawn(count, 4, seed=seed).detach(), torch.randint(0, count, (2, num_edges), generator=generator)
    labels = torch.randint(0, clusters, (count,), generator=generator)
    order, stretch = torch.randperm(count, generator=generator), torch.rand(count, 1, generator=generator) + 0.1
    csr = influence_matrix(edges, num_nodes=count, order=1, dtype=torch.float64)
    renamed = influence_matrix(torch.argsort(order)[edges], num_nodes=count, order=1, dtype=torch.float64)
    for form in FORMS[:3]:
        options = {"inv_temperature": 0.5, "negatives": form, "reduction": "none"}
        rows = influence_contrast(z, csr, labels=labels, **options)
        moved = influence_contrast((stretch * z)[order], renamed, labels=labels[order], **options)
        close(moved, rows[order], 1e-12)


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 60), st.integers(1, 5), st.floats(0.05, 3), st.integers(0, 1000))
def test_clusters_at_their_means_bound_the_sums_over_all_pairs(
    count: int, clusters: int, tau: float, seed: int
) -> None:
    """From below, by convexity: the sum of each row, and the sum over all rows, with nodes paired with themselves."""
    z, csr = drawn(count, 4, seed=seed).detach(), random_influence(count, 2 * count, seed=seed)
    labels = torch.randint(0, clusters, (count,), generator=torch.Generator().manual_seed(seed))
    every = (tau * normalize(z) @ normalize(z).t()).exp()
    options = {"inv_temperature": tau, "labels": labels, "reduction": "none", "eps": 0.0}
    exact, rows, pairs = (influence_contrast(z, csr, negatives=form, **options) for form in FORMS[:3])
    positive = (every.sum(1) - math.exp(tau) + 1).log() - exact  # log pos_i
    assert (rows + positive <= every.sum(1).log() + 1e-12).all()
    assert (pairs + positive <= (every.sum() / count).log() + 1e-12).all()


def test_clusters_of_one_node_are_exact(backend: str) -> None:
    """But for the node's own pair, which the cluster form counts as exp(tau)."""
    z, csr, tau = drawn(12, 4).detach(), random_influence(12, 20), 0.5
    options = {"inv_temperature": tau, "reduction": "none", "eps": 0.0}
    exact = influence_contrast(z, csr, **options)
    rows = influence_contrast(z, csr, negatives="cluster_rows", labels=torch.arange(12), **options)
    own = (math.exp(tau) - 1) / denominators(z, tau)
    close(rows, exact + own.log1p(), 1e-12)


def test_tight_clusters_make_all_forms_alike() -> None:
    """Copies of three directions: clusters lie at their means, and every row of a cluster is alike."""
    z = drawn(3, 4).detach().repeat(20, 1)
    labels, csr = torch.arange(60) % 3, random_influence(60, 100)
    exact, rows = (
        influence_contrast(z, csr, inv_temperature=0.5, negatives=form, labels=labels, reduction="none")
        for form in ("exact", "cluster_rows")
    )
    own = math.exp(0.5) - 1
    assert ((rows - exact) > 0).all()
    assert ((rows - exact) < own / (60 * math.exp(-0.5))).all()


def test_isolated_nodes_have_a_constant_positive(backend: str) -> None:
    csr = influence_matrix(torch.tensor([[0], [1]]), num_nodes=4, order=3, dtype=torch.float64)
    z = drawn(4, 3)
    rows = influence_contrast(z, csr, inv_temperature=0.5, reduction="none")
    wanted = -(3 / denominators(z, 0.5) + 1e-8).log()
    close(rows.detach()[2:], wanted.detach()[2:], 1e-13)


def test_duplicate_edges_and_entries(backend: str) -> None:
    """An entry written twice with half its weight is the same matrix."""
    csr, z = random_influence(10, 20), drawn(10, 3).detach()
    assert csr.value is not None
    edges = torch.stack([csr.col, csr.row()]).repeat(1, 2)
    twice = CSR.from_edge_index(edges, csr.value.repeat(2) / 2, size=(10, 10))
    close(*(influence_contrast(z, matrix, inv_temperature=0.5) for matrix in (csr, twice)), 1e-14)


@pytest.mark.parametrize("negatives", FORMS)
@pytest.mark.usefixtures("both_forms")
def test_zero_vectors_have_cosine_zero_and_no_gradient(negatives: str, backend: str) -> None:
    csr, labels = random_influence(8, 14), torch.arange(8) % 2
    z = drawn(8, 3).detach().index_fill(0, torch.tensor([2, 5]), 0).requires_grad_()
    options = {"inv_temperature": 0.5, "negatives": negatives, "labels": labels, "reduction": "none"}
    rows = influence_contrast(z, csr, **options)
    if negatives == "exact":
        close(rows.detach(), -(positives(z, csr, 0.5) / denominators(z, 0.5) + 1e-8).log().detach(), 1e-12)
    (grad,) = torch.autograd.grad(rows.sum(), z)
    assert rows.isfinite().all()
    assert grad.isfinite().all()
    assert float(grad.abs().max()) < 100
    if negatives != "pamc":  # there a zero vector still moves the sum that it is part of
        assert not grad[[2, 5]].any()


def test_a_row_without_entries_is_a_constant(backend: str) -> None:
    csr = CSR(torch.tensor([0, 1, 1]), torch.tensor([1]), num_cols=2)
    z = drawn(2, 3)
    rows = influence_contrast(z, csr, inv_temperature=0.5, reduction="none")
    assert rows[1].tolist() == pytest.approx(-math.log(1e-8))
    assert all(g.isfinite().all() for g in torch.autograd.grad(rows.sum(), z))


@pytest.mark.parametrize("negatives", FORMS)
@pytest.mark.usefixtures("both_forms")
def test_no_inverse_temperature_overflows(negatives: str, backend: str) -> None:
    z, csr, labels = drawn(30, 4, dtype=torch.float32), random_influence(30, 60), torch.arange(30) % 3
    loss = influence_contrast(z, csr, inv_temperature=500.0, negatives=negatives, labels=labels)
    assert loss.isfinite()
    assert torch.autograd.grad(loss, z)[0].isfinite().all()


def test_beyond_a_million_nodes_eps_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a quotient of about 1 / N the constant would no longer be small."""
    z, csr = drawn(20, 3).detach(), random_influence(20, 30)
    monkeypatch.setattr(influence, "MOST_ROWS", 19)
    found = influence_contrast(z, csr, inv_temperature=0.5, eps=0.5, reduction="none")
    close(found, influence_contrast(z, csr, inv_temperature=0.5, eps=0.0, reduction="none"), 1e-14)
    empty = CSR(torch.zeros(21, dtype=torch.int64), torch.zeros(0, dtype=torch.int64), num_cols=20)
    assert influence_contrast(z, empty, inv_temperature=0.5).isfinite()


def test_training_step_compiles_as_one_graph() -> None:
    z, csr = drawn(8, 3), random_influence(8, 14)
    csr.t()

    def step(z: Tensor) -> Tensor:
        return influence_contrast(z.tanh(), csr, inv_temperature=0.5)

    compiled = torch.compile(step, backend="aot_eager", fullgraph=True)
    close(compiled(z).detach(), step(z).detach(), 1e-13)
    close(*(torch.autograd.grad(f(z), z)[0] for f in (compiled, step)), 1e-12)


PEAK = """
    import resource, torch
    torch.set_num_threads(1)
    from graphrep.kernels import influence_matrix
    from graphrep.objectives import influence_contrast, pamc
    def run(num_nodes, width):
        generator = torch.Generator().manual_seed(0)
        edges = torch.randint(0, num_nodes, (2, 60 * num_nodes), generator=generator)
        csr = influence_matrix(edges, num_nodes=num_nodes, order=1)
        csr.t()
        z = torch.randn(num_nodes, width, generator=generator).requires_grad_()
        labels = torch.arange(num_nodes) % 10
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        FORMS
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    run(100, WIDTH)
    print(run(NODES, WIDTH))
"""


def peak_bytes(forms: str, num_nodes: int, width: int) -> int:
    code = PEAK.replace("FORMS", forms).replace("NODES", str(num_nodes)).replace("WIDTH", str(width))
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak resident set as Linux reports it")
def test_neither_pairs_of_nodes_nor_rows_of_edges_are_stored() -> None:
    """N x N would be 100 MB and nnz x d 39 MB."""
    exact = "influence_contrast(z, csr, inv_temperature=0.5).backward()"
    assert peak_bytes(exact, 5_000, 16) < 25e6


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak resident set as Linux reports it")
def test_cluster_forms_are_linear() -> None:
    """N x N would be 1.6 GB and nnz x d 155 MB; the matrix in the order of its transpose is 10 MB."""
    one = "influence_contrast(z, csr, inv_temperature=0.5, negatives=form, labels=labels).backward()"
    forms = f"[{one} for form in ('cluster_rows', 'cluster_pairs', 'pamc')]; pamc(z, labels, csr).backward()"
    assert peak_bytes(forms, 20_000, 16) < 60e6


def test_modules() -> None:
    z, csr, labels = drawn(9, 4).detach(), random_influence(9, 15), torch.arange(9) % 3
    for form in FORMS:
        module = InfluenceContrastLoss(inv_temperature=0.5, negatives=form, eps=1e-9, reduction="none")
        options = {"inv_temperature": 0.5, "negatives": form, "eps": 1e-9, "reduction": "none"}
        assert torch.equal(module(z, csr, labels), influence_contrast(z, csr, labels=labels, **options))
        assert form in repr(module)
    assert not list(module.parameters())


def test_errors() -> None:
    z, csr, labels = drawn(4, 3).detach(), random_influence(4, 6), torch.tensor([0, 1, 1, 0])
    with pytest.raises(GraphrepError, match="inv_temperature must be positive"):
        influence_contrast(z, csr, inv_temperature=0.0)
    with pytest.raises(GraphrepError, match="eps must be finite"):
        influence_contrast(z, csr, inv_temperature=1.0, eps=-1.0)
    with pytest.raises(UnknownNameError, match="negatives"):
        influence_contrast(z, csr, inv_temperature=1.0, negatives="sampled")
    with pytest.raises(UnknownNameError, match="reduction"):
        influence_contrast(z, csr, inv_temperature=1.0, reduction="sum")
    with pytest.raises(ShapeError, match="influence has shape"):
        influence_contrast(z[:3], csr, inv_temperature=1.0)
    with pytest.raises(ShapeError, match=r"z has shape \(0, 3\)"):
        influence_contrast(z[:0], csr, inv_temperature=1.0)
    with pytest.raises(DTypeError, match="z must hold"):
        influence_contrast(z.long(), csr, inv_temperature=1.0)
    with pytest.raises(GraphrepError, match="influence is a Tensor"):
        influence_contrast(z, torch.eye(4), inv_temperature=1.0)  # type: ignore[arg-type]
    with pytest.raises(GraphrepError, match=r'"cluster_rows" needs labels[\s\S]*argmax'):
        influence_contrast(z, csr, inv_temperature=1.0, negatives="cluster_rows")
    options = {"inv_temperature": 1.0, "negatives": "cluster_rows"}
    with pytest.raises(ShapeError, match="labels has 3 entries for 4 nodes"):
        influence_contrast(z, csr, labels=labels[:3], **options)
    with pytest.raises(IndexRangeError, match="labels refers to -1"):
        influence_contrast(z, csr, labels=labels - 1, **options)
    with pytest.raises(DTypeError, match=r"labels must hold integers[\s\S]*argmax"):
        influence_contrast(z, csr, labels=labels.double(), **options)
    with pytest.raises(GraphrepError, match="inv_temperature"):
        InfluenceContrastLoss(inv_temperature=-1.0)
