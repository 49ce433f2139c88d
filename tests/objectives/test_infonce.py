"""info_nce and decoupled_contrastive: golden files, explicit loops, gradients, forbidden pairs, compilation."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from contrast_cases import close, contrast_rows, gradients, views
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphrep.errors import GraphrepError, ShapeError, UnknownNameError
from graphrep.kernels import CSR
from graphrep.objectives import (
    DecoupledContrastiveLoss,
    InfoNCELoss,
    decoupled_contrastive,
    guided_negatives,
    info_nce,
)

Golden = Callable[[str], dict[str, Tensor]]
TYPES = [(torch.float64, 1e-12, 1e-10), (torch.float32, 1e-5, 1e-4)]


@pytest.mark.parametrize("name", ["infonce_inter_intra", "infonce_inter_only", "infonce_sharp_tau"])
@pytest.mark.parametrize(("dtype", "tol", "grad_tol"), TYPES)
def test_golden(name: str, dtype: torch.dtype, tol: float, grad_tol: float, backend: str, golden: Golden) -> None:
    g = golden(f"kernels/{name}")
    u, v = (g[key].to(dtype).requires_grad_() for key in "uv")
    loss = info_nce(u, v, temperature=g["tau"].item(), intra_view=g["intra"].item())
    close(loss.detach(), g["loss"], tol)
    for found, key in zip(gradients(loss, (u, v)), "uv", strict=True):
        assert (found.double() - g[f"grad_{key}"]).abs().max() <= grad_tol * g[f"grad_{key}"].abs().max()


def test_temperatures_that_overflow_a_plain_exponential(backend: str, golden: Golden) -> None:
    g = golden("gcl/infonce_small_tau")
    h = tuple(g[key].clone().requires_grad_() for key in ("h1", "h2"))
    loss = info_nce(*h, temperature=g["tau"].item())
    close(loss.detach(), g["loss"], 1e-12)
    for found, key in zip(gradients(loss, h), ("h1", "h2"), strict=True):
        close(found, g[f"grad_{key}"], 1e-11)


def test_both_directions_of_the_published_program(backend: str, golden: Golden) -> None:
    g = golden("gcl/grace_infonce_b")
    options = {"temperature": g["tau"].item(), "symmetric": False, "reduction": "none"}
    close(info_nce(g["h1"], g["h2"], **options), g["loss_anchor1"], 1e-12)
    close(info_nce(g["h2"], g["h1"], **options), g["loss_anchor2"], 1e-12)


@pytest.mark.parametrize("count", [1, 2, 63])
@pytest.mark.parametrize("intra_view", [True, False])
@pytest.mark.parametrize("symmetric", [True, False])
def test_against_loops(count: int, intra_view: bool, symmetric: bool, backend: str) -> None:
    u, v = views(count, 5)
    wanted = contrast_rows(u, v, 0.5, intra_view=intra_view)
    if symmetric:
        wanted = (wanted + contrast_rows(v, u, 0.5, intra_view=intra_view)) / 2
    found = info_nce(u, v, temperature=0.5, intra_view=intra_view, symmetric=symmetric, reduction="none")
    close(found.detach(), wanted.detach(), 1e-12)
    for a, b in zip(gradients(found, (u, v)), gradients(wanted, (u, v)), strict=True):
        close(a, b, 1e-11)


@pytest.mark.parametrize("name", ["losses_a", "losses_b_cold"])
@pytest.mark.parametrize(("dtype", "tol"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_decoupled_golden(name: str, dtype: torch.dtype, tol: float, backend: str, golden: Golden) -> None:
    g = golden(f"extension_losses/{name}")
    forms = {
        "dcl_rows": {"symmetric": False, "reduction": "none"},
        "dcl": {},
        "dclw_one_direction": {"weighted": True, "symmetric": False},
    }
    for key, options in forms.items():
        a, b = (g[side].to(dtype).requires_grad_() for side in "ab")
        loss = decoupled_contrastive(a, b, temperature=g["temperature"].item(), **options)
        close(loss.detach(), g[key], tol)
        for place, found in enumerate(gradients(loss, (a, b))):
            close(found, g[f"{key}_grad{place}"], tol)


def test_decoupled_against_loops(backend: str) -> None:
    u, v = views(17, 4, 3)
    with torch.no_grad():
        cosine = torch.nn.functional.cosine_similarity(u, v)
        weight = 2 - (cosine / 0.3).exp() / (cosine / 0.3).exp().mean()
    rows = [contrast_rows(a, b, 0.4, positive_in_sum=False, weight=weight) for a, b in ((u, v), (v, u))]
    options = {"temperature": 0.4, "weighted": True, "weight_temperature": 0.3}
    loss = decoupled_contrastive(u, v, **options)
    close(loss.detach(), (rows[0] + rows[1]).mean().detach() / 2, 1e-12)
    for a, b in zip(gradients(loss, (u, v)), gradients((rows[0] + rows[1]).mean() / 2, (u, v)), strict=True):
        close(a, b, 1e-11)


def test_gradcheck(backend: str) -> None:
    u, v = views(4, 3, 5)
    assert torch.autograd.gradcheck(lambda u, v: info_nce(u, v, temperature=0.7), (u, v))
    assert torch.autograd.gradcheck(lambda u, v: decoupled_contrastive(u, v, temperature=0.7, weighted=False), (u, v))


def test_forbidden_in_both_directions(backend: str) -> None:
    """The four lists, with the positive among them, which stays."""
    u, v = views(20, 4, 6)
    generator = torch.Generator().manual_seed(7)
    drawn = {name: torch.rand(20, 20, generator=generator) < 0.3 for name in ("uu", "uv", "vv", "vu")}
    for name in ("uv", "vu"):
        drawn[name].fill_diagonal_(True)
    lists = tuple(CSR.from_edge_index(m.nonzero().flip(1).t(), size=(20, 20)) for m in drawn.values())
    rows = [
        contrast_rows(u, v, 0.5, left_out=(drawn["uu"], drawn["uv"])),
        contrast_rows(v, u, 0.5, left_out=(drawn["vv"], drawn["vu"])),
    ]
    wanted = (rows[0] + rows[1]) / 2
    found = info_nce(u, v, temperature=0.5, forbidden=lists, reduction="none")
    close(found.detach(), wanted.detach(), 1e-12)
    for a, b in zip(gradients(found, (u, v)), gradients(wanted, (u, v)), strict=True):
        close(a, b, 1e-11)
    alone = info_nce(u, v, temperature=0.5, forbidden=lists, reduction="none", symmetric=False)
    close(alone.detach(), rows[0].detach(), 1e-12)
    none = (None, None, None, None)
    assert torch.equal(info_nce(u, v, temperature=0.5, forbidden=none), info_nce(u, v, temperature=0.5))


@pytest.mark.parametrize("name", ["losses_a", "losses_b_cold"])
def test_guided_golden(name: str, backend: str, golden: Golden) -> None:
    g = golden(f"extension_losses/{name}")
    a, b = (g[side].clone().requires_grad_() for side in "ab")
    lists = guided_negatives(g["guide_a"], g["guide_b"])
    for csr, key in zip(lists, ("guide_removed_intra", "guide_removed_inter"), strict=True):
        dense = torch.zeros(csr.shape, dtype=torch.bool)
        dense[csr.row().long(), csr.col.long()] = True
        assert torch.equal(dense, g[key].bool())
    options = {"temperature": g["temperature"].item(), "symmetric": False, "reduction": "none"}
    rows = info_nce(a, b, forbidden=lists, **options)
    close(rows.detach(), g["guided_infonce_rows"], 1e-11)
    for place, found in enumerate(gradients(rows, (a, b))):
        close(found, g[f"guided_infonce_rows_grad{place}"], 1e-10)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 70), st.integers(0, 1000))
def test_order_of_nodes_and_length_of_rows(count: int, seed: int) -> None:
    u, v = (x.detach() for x in views(count, 6, seed))
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    rows = info_nce(u, v, temperature=0.3, reduction="none")
    close(info_nce(3 * u[order], 0.1 * v[order], temperature=0.3, reduction="none"), rows[order], 1e-12)
    close(info_nce(u, v, temperature=0.3), rows.mean(), 1e-13)
    close(info_nce(v, u, temperature=0.3), rows.mean(), 1e-12)


def test_half_types_give_a_float32_loss(backend: str) -> None:
    u, v = views(50, 16, 8, torch.bfloat16)
    loss = info_nce(u, v, temperature=0.5)
    assert loss.dtype == torch.float32
    wide = info_nce(u.detach().double(), v.detach().double(), temperature=0.5)
    close(loss.detach(), wide, 1e-6)  # only sums are rounded, in float32
    assert gradients(loss, (u, v))[0].dtype == torch.bfloat16


def test_a_row_of_zeros_has_cosine_zero(backend: str) -> None:
    u, v = views(5, 3, 9)
    with torch.no_grad():
        u[2] = 0
    loss = info_nce(u, v, temperature=0.5)
    assert all(grad.isfinite().all() for grad in (loss, *gradients(loss, (u, v))))


def test_training_step_compiles_as_one_graph() -> None:
    def step(x: Tensor, weight: Tensor) -> Tensor:
        hidden = x @ weight
        return info_nce(hidden, hidden.tanh(), temperature=0.5) + decoupled_contrastive(hidden, x, temperature=0.5)

    x, weight = views(6, 6, 10)
    compiled = torch.compile(step, backend="aot_eager", fullgraph=True)
    found, wanted = compiled(x, weight), step(x, weight)
    close(found.detach(), wanted.detach(), 1e-13)
    for a, b in zip(gradients(found, (x, weight)), gradients(wanted, (x, weight)), strict=True):
        close(a, b, 1e-12)


def test_modules() -> None:
    u, v = views(9, 4, 11)
    assert torch.equal(InfoNCELoss(temperature=0.5)(u, v), info_nce(u, v, temperature=0.5))
    loss = DecoupledContrastiveLoss(temperature=0.5, weighted=True)
    assert torch.equal(loss(u, v), decoupled_contrastive(u, v, temperature=0.5, weighted=True))
    assert "weighted=True" in repr(loss)
    assert not list(loss.parameters())


def test_errors() -> None:
    u, v = (x.detach() for x in views(3, 4))
    with pytest.raises(GraphrepError, match="temperature must be positive"):
        info_nce(u, v, temperature=0.0)
    with pytest.raises(ShapeError, match="same node"):
        info_nce(u, v[:2], temperature=1.0)
    with pytest.raises(UnknownNameError, match="reduction"):
        info_nce(u, v, temperature=1.0, reduction="sum")
    with pytest.raises(UnknownNameError, match="negatives"):
        info_nce(u, v, temperature=1.0, negatives="sampled")
    with pytest.raises(ShapeError, match="no negatives"):
        info_nce(u[:0], v[:0], temperature=1.0)
    with pytest.raises(ShapeError, match="no negatives"):
        decoupled_contrastive(u[:1], v[:1], temperature=1.0)
    lists = guided_negatives(u, v)
    with pytest.raises(ShapeError, match="4 are needed"):
        info_nce(u, v, temperature=1.0, forbidden=lists)
    with pytest.raises(ShapeError, match="forbidden uu has shape"):
        info_nce(u[:2], v[:2], temperature=1.0, forbidden=lists, symmetric=False)
