"""pamc: golden files, loops, empty clusters, meta-nodes that cancel, collapse, derivatives, errors."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import pytest
import torch
from contrast_cases import close
from hypothesis import given, settings
from hypothesis import strategies as st
from structure_cases import drawn, golden_influence, members, meta_node_loss, random_influence
from torch import Tensor

from graphrep.errors import DTypeError, GraphrepError, IndexRangeError, ShapeError, UnknownNameError
from graphrep.kernels import CSR
from graphrep.objectives import PamCLoss, clustering_kl, influence_contrast, pamc, student_t, target_distribution

Golden = Callable[[str], dict[str, Tensor]]
TYPES = [(torch.float64, torch.int64, 1e-12, 1e-11), (torch.float32, torch.int32, 2e-6, 2e-6)]
FILES = ["pamc_r1", "pamc_r3", "pamc_empty_last_cluster", "pamc_empty_middle_cluster"]


def soft_assignment(num_nodes: int, num_clusters: int, seed: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(num_nodes, num_clusters, generator=generator, dtype=torch.float64).softmax(1).requires_grad_()


# values


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(("dtype", "index", "tol", "grad_tol"), TYPES)
@pytest.mark.usefixtures("both_forms")
def test_golden(
    name: str, dtype: torch.dtype, index: torch.dtype, tol: float, grad_tol: float, backend: str, golden: Golden
) -> None:
    g = golden(f"pamc/{name}")
    tau, size, entries = float(g["tau"]), len(g["z"]), g["W_index"].to(index)
    csr = CSR.from_edge_index(entries.flip(0), g["W_value"].to(dtype), size=(size, size))
    z, q = (g[key].to(dtype).requires_grad_() for key in ("z", "q"))
    for assign in (g["assign"].to(index), q):
        loss = pamc(z, assign, csr, inv_temperature=tau)
        close(loss.detach(), g["loss"], tol)
        grads = torch.autograd.grad(loss, (z, q), allow_unused=True)
        close(grads[0], g["grad_z"], grad_tol)
        assert grads[1] is None
    soft = pamc(z, q, csr, inv_temperature=tau, assignment="soft")
    close(soft.detach(), g["soft_loss"], tol)
    for found, key in zip(torch.autograd.grad(soft, (z, q)), ("soft_grad_z", "soft_grad_q"), strict=True):
        close(found, g[key], grad_tol)


@pytest.mark.parametrize(("dtype", "index", "tol", "grad_tol"), TYPES)
def test_golden_sum_with_the_divergence(
    dtype: torch.dtype, index: torch.dtype, tol: float, grad_tol: float, backend: str, golden: Golden
) -> None:
    g = golden("pamc/pamc_total")
    z, mu = (g[key].to(dtype).requires_grad_() for key in ("z", "mu"))
    q = student_t(z, mu)
    contrast = pamc(z, q, golden_influence(g, dtype, index), inv_temperature=float(g["tau"]))
    divergence = clustering_kl(q, target_distribution(q))
    total = float(g["alpha"]) * contrast + float(g["beta"]) * divergence
    for found, key in ((contrast, "contrast"), (divergence, "kl"), (total, "total")):
        close(found.detach(), g[key], tol)
    for found, key in zip(torch.autograd.grad(total, (z, mu)), ("grad_z", "grad_mu"), strict=True):
        close(found, g[key], grad_tol)


@pytest.mark.parametrize("normalize_members", [False, True])
@pytest.mark.parametrize("count", [2, 3, 30])
@pytest.mark.usefixtures("both_forms")
def test_against_loops(count: int, normalize_members: bool, backend: str) -> None:
    z, csr, labels = drawn(count, 4), random_influence(count, 2 * count), 3 * (torch.arange(count) % 3)
    q = soft_assignment(count, 4)
    own = z / z.norm(dim=1, keepdim=True) if normalize_members else z
    hard = torch.stack([own[group].sum(0) for group in members(labels)])
    for assign, nodes, leaves in ((labels, hard, (z,)), (q, q.t() @ own, (z, q))):
        kind = "hard" if assign is labels else "soft"
        options = {"inv_temperature": 0.9, "assignment": kind, "normalize_members": normalize_members, "eps": 1e-3}
        found, wanted = pamc(z, assign, csr, **options), meta_node_loss(z, nodes, csr, 0.9, eps=1e-3)
        close(found.detach(), wanted.detach(), 1e-12)
        truth = torch.autograd.grad(wanted, leaves, retain_graph=True)
        for a, b in zip(torch.autograd.grad(found, leaves), truth, strict=True):
            close(a, b, 1e-11)


@pytest.mark.parametrize("assignment", ["hard", "soft"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_narrow_types(assignment: str, dtype: torch.dtype, backend: str) -> None:
    z, csr, q = drawn(60, 10, dtype=dtype), random_influence(60, 150), soft_assignment(60, 5).detach().to(dtype)
    found = pamc(z, q, csr, assignment=assignment)
    wide = z.detach().double().requires_grad_()
    wanted = pamc(wide, q.double(), csr, assignment=assignment)
    assert found.dtype == torch.float32
    close(found.detach(), wanted.detach(), 1e-6)
    grads = [torch.autograd.grad(loss, x)[0] for loss, x in ((found, z), (wanted, wide))]
    assert grads[0].dtype == dtype
    close(*grads, 1e-6 if dtype == torch.float32 else 2**-8 * float(grads[1].abs().max()))


@pytest.mark.usefixtures("both_forms")
def test_gradcheck(backend: str) -> None:
    z, csr, q = drawn(6, 3), random_influence(6, 9), soft_assignment(6, 3)
    labels = torch.tensor([0, 2, 2, 0, 2, 0])
    assert torch.autograd.gradcheck(lambda z: pamc(z, labels, csr), (z,))
    assert torch.autograd.gradcheck(lambda z: pamc(z, labels, csr, normalize_members=True), (z,))
    assert torch.autograd.gradcheck(lambda z, q: pamc(z, q, csr, assignment="soft"), (z, q))


# properties


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 60), st.integers(0, 120), st.integers(2, 6), st.integers(0, 1000))
def test_orders_names_and_gaps(count: int, num_edges: int, clusters: int, seed: int) -> None:
    """Names of nodes and clusters do not matter, nor do clusters without members between or behind the others."""
    generator = torch.Generator().manual_seed(seed)
    z, labels = drawn(count, 4, seed=seed).detach(), torch.randint(0, clusters, (count,), generator=generator)
    labels[:2] = torch.tensor([0, 1])
    csr, order = random_influence(count, num_edges, seed=seed), torch.randperm(count, generator=generator)
    place = torch.argsort(order)
    edges = torch.stack([place[csr.col.long()], place[csr.row().long()]])
    renamed = CSR.from_edge_index(edges, csr.value, size=(count, count))
    loss = pamc(z, labels, csr)
    close(pamc(z[order], labels[order], renamed), loss, 1e-12)
    close(pamc(z, torch.randperm(clusters, generator=generator)[labels], csr), loss, 1e-12)
    assert torch.equal(pamc(z, 3 * labels + 2, csr, num_clusters=3 * clusters + 5), loss)
    one_hot = torch.nn.functional.one_hot(labels, clusters + 2).double()
    assert torch.equal(pamc(z, one_hot, csr), loss)


def test_a_soft_assignment_of_zeros_and_ones_without_empty_columns_is_hard(backend: str) -> None:
    z, csr, labels = drawn(12, 3).detach(), random_influence(12, 20), torch.arange(12) % 4
    one_hot = torch.nn.functional.one_hot(labels).double()
    close(pamc(z, one_hot, csr, assignment="soft"), pamc(z, labels, csr), 1e-13)


@pytest.mark.usefixtures("both_forms")
def test_meta_nodes_that_cancel_have_cosine_zero(backend: str) -> None:
    """Cluster 0 adds up to nothing: it repels as a stranger does, and the others are as before."""
    z = torch.tensor([[1.0, 2.0], [-1.0, -2.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64, requires_grad=True)
    csr, labels = random_influence(4, 5), torch.tensor([0, 0, 1, 2])
    loss = pamc(z, labels, csr)
    close(loss.detach(), meta_node_loss(z, torch.stack([z[:2].sum(0), z[2], z[3]]), csr, 0.5).detach(), 1e-12)
    assert torch.autograd.grad(loss, z)[0].isfinite().all()


def test_the_members_of_a_cluster_are_pushed_alike(backend: str) -> None:
    """Without edges all of the gradient comes from the meta-nodes, and it is one vector per cluster."""
    z, labels = drawn(9, 4), torch.arange(9) % 3
    (grad,) = torch.autograd.grad(pamc(z, labels, random_influence(9, 0)), z)
    for group in members(labels):
        close(grad[group], grad[group[:1]].expand(3, 4), 1e-13)
    assert float(grad.abs().max()) > 1e-3


def test_meta_nodes_at_a_simplex_are_the_least() -> None:
    """The bound of the negative term: log(1 + (K - 1) exp(-tau / (K - 1)))."""
    corners = torch.eye(4, dtype=torch.float64) - 1 / 4
    z, csr, tau = corners.repeat(5, 1), random_influence(20, 0, order=1), 0.7
    loss = pamc(z, torch.arange(20) % 4, csr, inv_temperature=tau, eps=0.0)
    least = math.log(1 + 3 * math.exp(-tau / 3))
    assert loss.tolist() == pytest.approx(least, rel=1e-12)
    assert pamc(drawn(20, 4).detach(), torch.arange(20) % 4, csr, inv_temperature=tau, eps=0.0) > least


def test_one_cluster_is_refused_or_warned_of() -> None:
    """Nothing repels: as a setting it is refused; as a state that training has reached it is reported."""
    z, csr = drawn(5, 3).detach(), random_influence(5, 8)
    for assign, options in ((torch.ones(5, 1), {}), (torch.zeros(5, dtype=torch.int64), {"num_clusters": 1})):
        with pytest.raises(GraphrepError, match="collapse"):
            pamc(z, assign, csr, **options)
    with pytest.warns(RuntimeWarning, match="one cluster"):
        loss = pamc(z, torch.zeros(5, dtype=torch.int64), csr)
    assert loss.isfinite()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        influence_contrast(z, csr, inv_temperature=0.5, negatives="cluster_rows", labels=torch.zeros(5).long())


def test_modules() -> None:
    z, csr, q = drawn(9, 4).detach(), random_influence(9, 15), soft_assignment(9, 3).detach()
    options = {"inv_temperature": 0.7, "assignment": "soft", "normalize_members": True, "eps": 1e-6}
    module = PamCLoss(**options)
    assert torch.equal(module(z, q, csr), pamc(z, q, csr, **options))
    assert torch.equal(PamCLoss(num_clusters=3)(z, q, csr), pamc(z, q, csr))
    assert "soft" in repr(module)
    assert not list(module.parameters())


def test_errors() -> None:
    z, csr, labels, q = drawn(4, 3).detach(), random_influence(4, 6), torch.tensor([0, 1, 1, 0]), torch.rand(4, 2)
    with pytest.raises(GraphrepError, match="inv_temperature must be positive"):
        pamc(z, labels, csr, inv_temperature=float("inf"))
    with pytest.raises(UnknownNameError, match="assignment"):
        pamc(z, labels, csr, assignment="fuzzy")
    with pytest.raises(GraphrepError, match=r"needs a soft assignment[\s\S]*q .N, K."):
        pamc(z, labels, csr, assignment="soft")
    with pytest.raises(ShapeError, match=r"assign has shape .3, 2. for 4 nodes"):
        pamc(z, q[:3], csr)
    with pytest.raises(ShapeError, match="assign has 3 entries"):
        pamc(z, labels[:3], csr)
    with pytest.raises(ShapeError, match="2 columns but num_clusters is 3"):
        pamc(z, q, csr, num_clusters=3)
    with pytest.raises(IndexRangeError, match="assign refers to 2"):
        pamc(z, labels + 1, csr, num_clusters=2)
    with pytest.raises(IndexRangeError, match="assign refers to -1"):
        pamc(z, labels - 1, csr)
    with pytest.raises(ShapeError, match="influence has shape"):
        pamc(z[:3], labels[:3], csr)
    with pytest.raises(DTypeError, match="assign must hold integers"):
        pamc(z, labels.bool(), csr)
    with pytest.raises(UnknownNameError, match="assignment"):
        PamCLoss(assignment="fuzzy")
