"""student_t, target_distribution, clustering_kl: golden files, loops, far-out nodes, derivatives, errors."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from contrast_cases import close
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphrep.errors import DTypeError, GraphrepError, ShapeError, UnknownNameError
from graphrep.objectives import ClusteringKLLoss, clustering, clustering_kl, student_t, target_distribution

Golden = Callable[[str], dict[str, Tensor]]
TYPES = [(torch.float64, 1e-12, 1e-11), (torch.float32, 2e-6, 2e-6)]


def by_pairs(z: Tensor, mu: Tensor, df: float) -> Tensor:
    """The kernel of every pair, then the quotient."""
    kernel = [[(1 + ((x - m) ** 2).sum() / df) ** (-(df + 1) / 2) for m in mu] for x in z]
    rows = torch.stack([torch.stack(row) for row in kernel])
    return rows / rows.sum(1, keepdim=True)


def drawn(num_nodes: int, num_clusters: int, width: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    made = (torch.randn(n, width, generator=generator, dtype=torch.float64) for n in (num_nodes, num_clusters))
    z, mu = (x.requires_grad_() for x in made)
    return z, mu


# values


@pytest.mark.parametrize("name", ["student_t_v1", "student_t_v1_far_centre"])
@pytest.mark.parametrize(("dtype", "tol", "grad_tol"), TYPES)
def test_golden(name: str, dtype: torch.dtype, tol: float, grad_tol: float, golden: Golden) -> None:
    g = golden(f"scgc/{name}")
    z, mu = (g[key].to(dtype).requires_grad_() for key in ("z", "mu"))
    q = student_t(z, mu, df=float(g["v"]))
    p = target_distribution(q)
    loss = clustering_kl(q, p)
    assert not p.requires_grad
    for found, key in ((q, "q"), (p, "p"), (loss, "kl")):
        close(found.detach(), g[key], tol)
    for found, key in zip(torch.autograd.grad(loss, (z, mu)), ("grad_z", "grad_mu"), strict=True):
        close(found, g[key], grad_tol)


@pytest.mark.parametrize("name", ["losses_a", "losses_b_cold"])
def test_golden_targets(name: str, golden: Golden) -> None:
    g = golden(f"extension_losses/{name}")
    for kind in ("dec", "depict"):
        close(target_distribution(g["cluster_p"], kind), g[f"target_{kind}"], 1e-12)


@pytest.mark.parametrize("count", [1, 2, 63])
@pytest.mark.parametrize("df", [1.0, 0.5, 7.0])
def test_against_pairs(count: int, df: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clustering, "BLOCK_NUMBERS", 100)  # blocks of a few rows
    z, mu = drawn(count, 4, 5)
    found, wanted = student_t(z, mu, df=df), by_pairs(z, mu, df)
    close(found.detach(), wanted.detach(), 1e-13)
    cotangent = torch.randn(count, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    truth = torch.autograd.grad(wanted, (z, mu), cotangent)
    for a, b in zip(torch.autograd.grad(found, (z, mu), cotangent), truth, strict=True):
        close(a, b, 1e-12)


def test_rows_far_from_all_centres_are_no_nan() -> None:
    """With 200 degrees of freedom every kernel underflows even float64; the quotient does not."""
    z, mu = torch.tensor([[1e6, 0.0]]), torch.tensor([[0.0, 0.0], [2e6 - 1, 0.0]])
    q = student_t(z, mu, df=200.0)
    close(q.sum(1), torch.ones(1), 1e-6)
    assert q.isfinite().all()


def test_float32_keeps_its_digits_far_from_the_origin() -> None:
    """Differences of coordinates near 1000 are exact; squared lengths of 10^7 would lose five digits."""
    z, mu = (x.detach().float() for x in drawn(40, 3, 10))
    shift = torch.full((10,), 1024.0)
    z, mu = z.mul(256).round().div(256), mu.mul(256).round().div(256)
    close(student_t(z + shift, mu + shift), student_t(z, mu), 1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_types_come_out_as_float32(dtype: torch.dtype) -> None:
    z, mu = (x.detach().to(dtype) for x in drawn(30, 4, 6))
    q = student_t(z, mu)
    assert q.dtype == torch.float32
    close(q, student_t(z.double(), mu.double()), 1e-6)
    half = q.to(dtype)
    assert target_distribution(half).dtype == torch.float32
    loss = clustering_kl(half, target_distribution(half))
    close(loss, clustering_kl(half.double(), target_distribution(half.double())), 1e-6)


def test_one_cluster_and_more_clusters_than_nodes() -> None:
    z, mu = drawn(3, 1, 2)
    q = student_t(z, mu)
    assert q.tolist() == [[1.0]] * 3
    assert clustering_kl(q, target_distribution(q)).tolist() == 0
    q = student_t(*drawn(2, 9, 4))
    close(q.sum(1), torch.ones(2, dtype=torch.float64), 1e-14)


# properties


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40), st.integers(1, 6), st.integers(0, 1000))
def test_orders_shifts_and_sums(count: int, clusters: int, seed: int) -> None:
    z, mu = (x.detach() for x in drawn(count, clusters, 3, seed))
    generator = torch.Generator().manual_seed(seed)
    nodes, centres = torch.randperm(count, generator=generator), torch.randperm(clusters, generator=generator)
    q = student_t(z, mu)
    close(q.sum(1), q.new_ones(count), 1e-14)
    close(student_t(z[nodes], mu[centres]), q[nodes][:, centres], 1e-14)
    close(student_t(z + 3, mu + 3), q, 1e-12)
    p = target_distribution(q)
    close(p.sum(1), q.new_ones(count), 1e-14)
    close(target_distribution(q[nodes]), p[nodes], 1e-14)
    rows = clustering_kl(q, p, reduction="none")
    assert (rows > -1e-13).all()  # a divergence
    close(rows.mean(), clustering_kl(q, p), 1e-14)
    assert clustering_kl(p, p).tolist() == pytest.approx(0, abs=1e-14)


def test_masses_of_all_nodes_make_a_batch_part_of_the_whole() -> None:
    q = student_t(*drawn(20, 4, 3)).detach()
    for kind in ("dec", "depict"):
        whole = target_distribution(q, kind)
        close(target_distribution(q[5:9], kind, mass=q.sum(0)), whole[5:9], 1e-14)


def test_zeros_in_an_assignment() -> None:
    """A cluster without mass gets no target; a q of 0 under a target of 0 costs nothing and sends no gradient."""
    q = torch.tensor([[0.7, 0.3, 0.0], [0.2, 0.8, 0.0]], requires_grad=True)
    p = target_distribution(q)
    assert p[:, 2].tolist() == [0, 0]
    loss = clustering_kl(q, p)
    assert loss.isfinite()
    (grad,) = torch.autograd.grad(loss, q)
    assert grad.isfinite().all()
    assert grad[:, 2].tolist() == [0, 0]
    tiny = torch.tensor([[1.0, 1e-30]])  # whose square is 0 in float32
    assert float(target_distribution(tiny)[0, 1]) == pytest.approx(1e-30, rel=1e-6)


def test_gradcheck() -> None:
    z, mu = drawn(5, 3, 4)
    assert torch.autograd.gradcheck(student_t, (z, mu))
    assert torch.autograd.gradcheck(lambda z, mu: student_t(z, mu, df=3.0), (z, mu))
    p = target_distribution(student_t(*drawn(5, 3, 4, 1)))
    assert torch.autograd.gradcheck(lambda z, mu: clustering_kl(student_t(z, mu), p, reduction="none"), (z, mu))


def test_module() -> None:
    q = student_t(*drawn(6, 3, 4))
    p = target_distribution(q)
    assert torch.equal(ClusteringKLLoss()(q, p), clustering_kl(q, p))
    assert torch.equal(ClusteringKLLoss(reduction="none")(q, p), clustering_kl(q, p, reduction="none"))
    assert repr(ClusteringKLLoss()) == "ClusteringKLLoss(reduction='mean')"


def test_errors() -> None:
    z, mu = (x.detach() for x in drawn(4, 2, 3))
    with pytest.raises(GraphrepError, match="df must be positive"):
        student_t(z, mu, df=0.0)
    with pytest.raises(ShapeError, match=r"z has shape \(4, 3\) and mu \(2, 2\)"):
        student_t(z, mu[:, :2])
    with pytest.raises(ShapeError, match="K >= 1"):
        student_t(z, mu[:0])
    with pytest.raises(ShapeError, match="mu has shape"):
        student_t(z, mu[0])
    with pytest.raises(DTypeError, match="z must hold"):
        student_t(z.long(), mu)
    q = student_t(z, mu)
    with pytest.raises(UnknownNameError, match="kind"):
        target_distribution(q, "sharp")
    with pytest.raises(ShapeError, match="mass has shape"):
        target_distribution(q, mass=torch.ones(3))
    with pytest.raises(ShapeError, match=r"q has shape \(0, 2\)"):
        clustering_kl(q[:0], q[:0])
    with pytest.raises(ShapeError, match="must agree"):
        clustering_kl(q, q[:2])
    with pytest.raises(UnknownNameError, match="reduction"):
        clustering_kl(q, q, reduction="sum")
    with pytest.raises(UnknownNameError, match="reduction"):
        ClusteringKLLoss(reduction="sum")
