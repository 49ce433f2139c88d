"""Mann-Whitney, Matryoshka, guided negatives, individual temperatures, multi-view and in-batch losses."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from contrast_cases import close, gradients, views
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize, softplus

from graphrep.errors import GraphrepError, IndexRangeError, ShapeError
from graphrep.kernels.blockwise import pairs
from graphrep.objectives import (
    InBatchInfoNCELoss,
    IndividualTemperatures,
    MannWhitneyLoss,
    MVDHELLoss,
    MVInfoNCELoss,
    guided_negatives,
    in_batch_info_nce,
    info_nce,
    mann_whitney,
    matryoshka,
    mv_dhel,
    mv_info_nce,
)

Golden = Callable[[str], dict[str, Tensor]]
FILES = pytest.mark.parametrize("name", ["losses_a", "losses_b_cold"])


# ---- Mann-Whitney


@FILES
@pytest.mark.parametrize(("dtype", "tol"), [(torch.float64, 1e-10), (torch.float32, 1e-6)])
def test_mann_whitney_golden(name: str, dtype: torch.dtype, tol: float, golden: Golden) -> None:
    g = golden(f"extension_losses/{name}")
    pos, neg = (g[key].to(dtype).requires_grad_() for key in ("pos", "neg"))
    loss = mann_whitney(pos, neg, temperature=g["temperature"].item())
    close(loss.detach(), g["mw"], tol)
    for place, found in enumerate(gradients(loss, (pos, neg))):
        close(found, g[f"mw_grad{place}"], tol)


@pytest.mark.parametrize(("p", "n"), [(1, 1), (5, 300), (300, 5), (40, 41)])
def test_mann_whitney_by_blocks(p: int, n: int, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "PAIRS", 64)
    pos = torch.randn(p, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    neg = torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).requires_grad_()
    loss, wanted = (
        mann_whitney(pos, neg, temperature=0.1),
        softplus((neg - pos.unsqueeze(1)) / 0.1).mean(),
    )
    close(loss.detach(), wanted.detach(), 1e-13)
    for a, b in zip(gradients(3 * loss, (pos, neg)), gradients(3 * wanted, (pos, neg)), strict=True):
        close(a, b, 1e-8)  # torch's softplus has the slope 1 from 20 on, where the sigmoid is 2e-9 less


def test_mann_whitney_of_extreme_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "PAIRS", 1)
    pos, neg = torch.tensor([1e4, -1e4], requires_grad=True), torch.tensor([0.0, 5.0])
    loss = mann_whitney(pos, neg, temperature=1.0)
    assert loss.item() == pytest.approx((1e4 + 10005) / 4)
    assert torch.autograd.grad(loss, pos)[0].tolist() == [0.0, -0.5]


def test_mann_whitney_second_derivatives(monkeypatch: pytest.MonkeyPatch) -> None:
    pos, neg = (torch.randn(n, dtype=torch.float64, requires_grad=True) for n in (3, 4))
    assert torch.autograd.gradgradcheck(lambda p, n: mann_whitney(p, n, temperature=0.5), (pos, neg))
    monkeypatch.setattr(pairs, "PAIRS", 1)
    torch.library.opcheck(torch.ops.graphrep.softplus_pairs, (pos, neg, 2.0))
    (grad,) = torch.autograd.grad(mann_whitney(pos * 2, neg, temperature=0.5).square(), pos, create_graph=True)
    with pytest.raises(GraphrepError, match="Second derivatives"):
        grad.sum().backward()


def test_mann_whitney_errors_and_module() -> None:
    scores = torch.tensor([1.0, 2.0])
    assert torch.equal(MannWhitneyLoss(temperature=0.5)(scores, scores), mann_whitney(scores, scores, temperature=0.5))
    with pytest.raises(ShapeError, match="neg has shape"):
        mann_whitney(scores, scores[:0], temperature=0.5)
    with pytest.raises(GraphrepError, match="positive"):
        MannWhitneyLoss(temperature=-1.0)


# ---- prefixes, guides


@FILES
def test_matryoshka_golden(name: str, backend: str, golden: Golden) -> None:
    g = golden(f"extension_losses/{name}")
    a, b = (g[side].clone().requires_grad_() for side in "ab")
    loss = matryoshka(partial(info_nce, temperature=g["temperature"].item()), g["dims"].tolist())(a, b)
    close(loss.detach(), g["matryoshka"], 1e-12)
    for place, found in enumerate(gradients(loss, (a, b))):
        close(found, g[f"matryoshka_grad{place}"], 1e-10)


def test_matryoshka_weights_and_errors() -> None:
    u, v = torch.ones(2, 4), torch.ones(2, 4)
    assert matryoshka(lambda a, b: (a * b).sum(), [1, 4], weights=[10.0, 1.0])(u, v).item() == 28.0
    with pytest.raises(ShapeError, match="at least one column"):
        matryoshka(torch.add, [])
    with pytest.raises(ShapeError, match="1 weights for 2 dims"):
        matryoshka(torch.add, [1, 2], weights=[1.0])
    with pytest.raises(ShapeError, match="5 of 4 columns"):
        matryoshka(torch.add, [5])(u, v)


@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_guided_negatives_against_a_loop(margin: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphrep.objectives.guided.PAIRS", 40)
    u, v = (normalize(x.detach()) for x in views(23, 3, 4))
    found = guided_negatives(u, v, margin=margin)
    for csr, x in zip(found, (u, v), strict=True):
        wanted = [
            (i, j)
            for i, j in itertools.product(range(23), repeat=2)
            if i != j and float(u[i] @ x[j]) > float(u[i] @ v[i]) - margin
        ]
        assert list(zip(csr.row().tolist(), csr.col.tolist(), strict=True)) == wanted


def test_equal_similarities_are_not_above() -> None:
    """All rows alike: every pair is exactly as similar as the positive one, up to rounding."""
    guide = torch.full((50, 7), 0.1).mul_(torch.linspace(0.5, 3, 50).unsqueeze(1))
    assert all(csr.nnz == 0 for csr in guided_negatives(guide, guide.flip(0)))


# ---- individual temperatures


@FILES
@pytest.mark.parametrize(("dtype", "tol"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_individual_temperatures_golden(
    name: str, dtype: torch.dtype, tol: float, backend: str, golden: Golden
) -> None:
    g = golden(f"extension_losses/{name}")
    a, b = (g[side].to(dtype).requires_grad_() for side in "ab")
    options = {"gamma": "iso_gamma", "rho": "iso_rho", "lr": "iso_eta", "momentum": "iso_beta_u"}
    module = IndividualTemperatures(len(a), **{key: g[value].item() for key, value in options.items()}).to(dtype)
    module.load_state_dict({key: g[f"iso_{key}0"].to(dtype) for key in ("tau", "s", "u")})
    loss = module(a, b)
    close(loss.detach(), g["iso_loss"], tol)
    for place, found in enumerate(gradients(loss, (a, b))):
        close(found, g[f"iso_loss_grad{place}"], tol)
    for key in ("tau", "s", "u"):
        close(getattr(module, key), g[f"iso_{key}1"], tol)


def test_individual_temperatures_of_a_batch() -> None:
    """Only the batch's nodes move, in training mode alone, and the value does not depend on whether it has a graph."""
    module = IndividualTemperatures(10).double()
    a, b = views(4, 5, 12)
    index = torch.tensor([7, 1, 3, 9])
    value = module(a, b, index)
    moved = module.s != 0
    assert moved.nonzero().flatten().tolist() == sorted(index.tolist())
    assert torch.equal(module.u != 0, moved)
    state = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    module.eval()
    with torch.no_grad():
        seen = module(a, b, index)
    assert all(torch.equal(tensor, state[key]) for key, tensor in module.state_dict().items())
    assert seen.isfinite()
    assert not value.isnan()
    assert set(state) == {"tau", "s", "u"}


def test_individual_temperatures_errors() -> None:
    a, b = (x.detach() for x in views(4, 5))
    with pytest.raises(ShapeError, match="4 rows for 10"):
        IndividualTemperatures(10)(a, b)
    with pytest.raises(ShapeError, match="index has shape"):
        IndividualTemperatures(10)(a, b, torch.tensor([1]))
    with pytest.raises(ShapeError, match="no negatives"):
        IndividualTemperatures(1)(a[:1], b[:1])
    with pytest.raises(GraphrepError, match="min <= init"):
        IndividualTemperatures(3, init=2.0)


# ---- several views


@pytest.mark.parametrize("count", [2, 13])
def test_multi_view_against_loops(count: int, backend: str) -> None:
    given = [*views(count, 4, 13), *views(count, 4, 14)][:3]
    unit = [normalize(x) for x in given]
    spread, joint = [], []
    for i in range(count):
        positives = [unit[a][i] @ unit[b][i] / 0.5 for a, b in itertools.permutations(range(3), 2)]
        everything = [
            unit[a][i] @ unit[b][j] / 0.5
            for a, b, j in itertools.product(range(3), range(3), range(count))
            if (a, i) != (b, j)
        ]
        joint.append(torch.logsumexp(torch.stack(everything), 0) - torch.logsumexp(torch.stack(positives), 0))
        inside = [torch.logsumexp(torch.stack([x[i] @ x[j] / 0.5 for j in range(count) if j != i]), 0) for x in unit]
        spread.append(sum(inside) - torch.logsumexp(torch.stack(positives), 0) + math.log(2))
    for loss, module, wanted in ((mv_info_nce, MVInfoNCELoss, joint), (mv_dhel, MVDHELLoss, spread)):
        rows = loss(given, temperature=0.5, reduction="none")
        close(rows.detach(), torch.stack(wanted).detach(), 1e-12)
        assert torch.equal(module(temperature=0.5)(given), loss(given, temperature=0.5))
        truth = torch.autograd.grad(torch.stack(wanted).sum(), given, retain_graph=True)
        for a, b in zip(torch.autograd.grad(rows.sum(), given), truth, strict=True):
            close(a, b, 1e-11)


def test_two_views_are_alignment_and_uniformity() -> None:
    u, v = (x.detach() for x in views(9, 4, 15))
    a, b = normalize(u), normalize(v)
    own = [(x @ x.t() / 0.5).fill_diagonal_(-torch.inf).logsumexp(1) for x in (a, b)]
    close(mv_dhel([u, v], temperature=0.5), (own[0] + own[1] - (a * b).sum(1) / 0.5).mean(), 1e-13)
    with pytest.raises(ShapeError, match="1 views"):
        mv_dhel([u], temperature=0.5)


# ---- in batch


@pytest.mark.parametrize("name", ["inbatch_b8", "inbatch_b16_tau05"])
@pytest.mark.parametrize(("dtype", "tol"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_in_batch_golden(name: str, dtype: torch.dtype, tol: float, backend: str, golden: Golden) -> None:
    g = golden(f"lmgnn/{name}")
    integer = torch.int64 if dtype == torch.float64 else torch.int32
    src, dst, pool, known = (g[key].to(integer) for key in ("src", "dst", "pool", "known"))
    forms = {
        "inbatch_nomask": {},
        "inbatch_nomask_sym": {"symmetric": True},
        "inbatch_masked": {"known": known},
        "inbatch_masked_sym": {"known": known, "symmetric": True},
        "shared_masked": {"known": known, "pool": pool, "in_batch": False},
        "inbatch_plus_shared_masked": {"known": known, "pool": pool},
        "inbatch_plus_shared_logq": {"known": known, "pool": pool, "log_q": g["logq"].log().to(dtype)},
        "unique_candidates_masked": {"known": known, "pool": pool, "unique": True},
    }
    for key, options in forms.items():
        x = g["x"].to(dtype).requires_grad_()
        loss = in_batch_info_nce(x, src, dst, temperature=g["tau"].item(), **options)
        close(loss.detach(), g[key], tol)
        close(gradients(loss, (x,))[0], g[f"{key}_gx"], 10 * tol)


def in_batch_loop(
    x: Tensor, src: Tensor, dst: Tensor, temperature: float, pool: Tensor, known: Tensor, log_q: Tensor
) -> Tensor:
    """One direction, every column by itself."""
    pairs_known = set(map(tuple, known.t().tolist()))
    unit, rows = normalize(x), []
    for i, (s, t) in enumerate(zip(src.tolist(), dst.tolist(), strict=True)):
        logits = []
        for j, node in enumerate([*dst.tolist(), *pool.tolist()]):
            if j == i or not ((s, node) in pairs_known or node == s):
                logits.append(unit[s] @ unit[node] / temperature - log_q[node])
        rows.append(torch.logsumexp(torch.stack(logits), 0) - unit[s] @ unit[t] / temperature + log_q[t])
    return torch.stack(rows).mean()


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 20), st.integers(0, 6), st.integers(0, 30), st.integers(0, 1000))
def test_in_batch_against_a_loop(batch: int, extra: int, num_known: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(7, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    src, dst, pool = (torch.randint(0, 7, (n,), generator=generator) for n in (batch, batch, extra))
    known = torch.randint(0, 7, (2, num_known), generator=generator)
    log_q = torch.rand(7, generator=generator, dtype=torch.float64)
    options = {"temperature": 0.3, "pool": pool, "known": known, "log_q": log_q}
    found = in_batch_info_nce(x, src, dst, symmetric=True, **options)
    wanted = (
        in_batch_loop(x, src, dst, 0.3, pool, known, log_q)
        + in_batch_loop(x, dst, src, 0.3, pool, known.flip(0), log_q)
    ) / 2
    close(found.detach(), wanted.detach(), 1e-12)
    close(gradients(found, (x,))[0], gradients(wanted, (x,))[0], 1e-11)


def test_in_batch_module_and_errors() -> None:
    x, ends = torch.eye(4), (torch.tensor([0, 1]), torch.tensor([2, 3]))
    module = InBatchInfoNCELoss(temperature=0.5, pool=torch.tensor([3]), unique=True)
    assert torch.equal(module(x, *ends), in_batch_info_nce(x, *ends, temperature=0.5, pool=module.pool, unique=True))
    assert not module.state_dict()
    with pytest.raises(IndexRangeError, match="dst refers to 9"):
        in_batch_info_nce(x, ends[0], torch.tensor([2, 9]), temperature=0.5)
    with pytest.raises(GraphrepError, match="no negatives"):
        in_batch_info_nce(x, *ends, temperature=0.5, in_batch=False)
    with pytest.raises(ShapeError, match="src has shape"):
        in_batch_info_nce(x, ends[0], ends[1][:1], temperature=0.5)
    with pytest.raises(ShapeError, match="log_q has shape"):
        in_batch_info_nce(x, *ends, temperature=0.5, log_q=torch.zeros(3))
    with pytest.raises(ShapeError, match="edge_index"):
        in_batch_info_nce(x, *ends, temperature=0.5, known=torch.zeros(3, 3, dtype=torch.int64))
