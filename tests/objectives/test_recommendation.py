"""bpr and lightgcl_contrast: golden steps, loops over rows, gradients, odd inputs, extreme logits, memory, errors."""

from __future__ import annotations

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
from torch import Tensor

from graphrep.errors import DTypeError, GraphrepError, IndexRangeError, ShapeError, UnknownNameError
from graphrep.objectives import BPRLoss, LightGCLContrastLoss, bpr, lightgcl_contrast

Golden = Callable[[str], dict[str, Tensor]]
STEPS = ("step_L2", "step_L1_clamp_active", "step_L2_edge_dropout", "step_L3_isolated")  # those that store the views
TYPES = [(torch.float64, torch.int64, 1e-9), (torch.float32, torch.int32, 5e-6)]


def looped(view: Tensor, main: Tensor, index: Tensor, temperature: float, clamp: float | None = 5.0) -> Tensor:
    """The definition, one node of the batch and one key at a time."""
    rows = []
    for i in index.tolist():
        logits = torch.stack([view[i] @ key / temperature for key in main])
        own = logits[i] if clamp is None else logits[i].clamp(-clamp, clamp)
        rows.append(torch.logsumexp(logits, 0) - own)
    return torch.stack(rows).mean()


def rows(count: int, width: int, seed: int = 0, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    view, main = (scale * torch.randn(count, width, generator=generator, dtype=torch.float64) for _ in range(2))
    return view.requires_grad_(), main.requires_grad_()


# values


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize(("dtype", "index", "tol"), TYPES)
def test_golden_step(
    name: str, dtype: torch.dtype, index: torch.dtype, tol: float, backend: str, golden: Golden
) -> None:
    g = golden(f"lightgcl/{name}")
    views = {key: g[key].to(dtype) for key in ("E_u", "E_i", "G_u", "G_i")}
    ids, pos, neg = (g[key].to(index) for key in ("uids", "pos", "neg"))
    users, items = views["E_u"], views["E_i"]
    ranking = bpr((users[ids] * items[pos]).sum(1), (users[ids] * items[neg]).sum(1))
    close(ranking, g["loss_bpr"], tol)
    options = {"temperature": float(g["temp"])}
    contrast = lightgcl_contrast(views["G_u"], users, ids, **options)
    contrast = contrast + lightgcl_contrast(views["G_i"], items, torch.cat([pos, neg]), **options)
    close(float(g["lambda1"]) * contrast, g["loss_cl_times_lambda1"], tol)


@pytest.mark.parametrize("count", [1, 2, 63])
@pytest.mark.parametrize("clamp", [5.0, 0.5, None])
def test_against_loops(count: int, clamp: float | None, backend: str) -> None:
    view, main = rows(count, 5, scale=1.5)
    index = torch.randint(count, (2 * count,), generator=torch.Generator().manual_seed(1))
    found = lightgcl_contrast(view, main, index, temperature=0.3, pos_clamp=clamp)
    wanted = looped(view, main, index, 0.3, clamp)
    close(found.detach(), wanted.detach(), 1e-12)
    for a, b in zip(torch.autograd.grad(found, (view, main)), torch.autograd.grad(wanted, (view, main)), strict=True):
        close(a, b, 1e-11)


def test_beyond_the_clamp_the_own_logit_has_no_gradient(backend: str) -> None:
    view = torch.tensor([[4.0]], dtype=torch.float64, requires_grad=True)
    main = torch.tensor([[4.0]], dtype=torch.float64)
    lightgcl_contrast(view, main, torch.tensor([0]), temperature=1.0).backward()
    assert view.grad is not None
    assert float(view.grad) == 4.0  # of the sum alone
    free = torch.autograd.grad(lightgcl_contrast(view, main, torch.tensor([0]), temperature=1.0, pos_clamp=None), view)
    assert float(free[0]) == 0.0


def test_gradcheck(backend: str) -> None:
    view, main = rows(6, 3)
    index = torch.tensor([0, 5, 5, 2])
    assert torch.autograd.gradcheck(lambda a, b: lightgcl_contrast(a, b, index, temperature=0.7), (view, main))
    scores = [x.detach()[:, 0].clone().requires_grad_() for x in (view, main)]
    assert torch.autograd.gradcheck(bpr, scores)


def test_bpr_against_its_definition() -> None:
    pos, neg = (x.detach()[:, 0] for x in rows(63, 2))
    wanted = torch.stack([-torch.log(torch.sigmoid(a - b)) for a, b in zip(pos, neg, strict=True)])
    close(bpr(pos, neg, reduction="none"), wanted, 1e-12)
    close(bpr(pos, neg), wanted.mean(), 1e-12)
    assert torch.equal(BPRLoss()(pos, neg), bpr(pos, neg))


# properties


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 20), st.integers(1, 30), st.integers(0, 2**31))
def test_order_of_nodes_and_of_the_batch_does_not_matter(count: int, batch: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    view, main = (x.detach() for x in rows(count, 3, seed))
    index = torch.randint(count, (batch,), generator=generator)
    found = lightgcl_contrast(view, main, index, temperature=0.5)
    order = torch.randperm(count, generator=generator)
    place = order.argsort()
    shuffled = place[index][torch.randperm(batch, generator=generator)]
    close(lightgcl_contrast(view[order], main[order], shuffled, temperature=0.5), found, 1e-12)
    close(lightgcl_contrast(view, main, index.repeat(3), temperature=0.5), found, 1e-12)
    close(found, looped(view, main, index, 0.5), 1e-12)


def test_repeats_cost_no_rows_and_weigh_in() -> None:
    view, main = rows(3, 2)
    once = [lightgcl_contrast(view, main, torch.tensor([i]), temperature=1.0) for i in range(3)]
    found = lightgcl_contrast(view, main, torch.tensor([0, 2, 2, 2]), temperature=1.0)
    close(found.detach(), ((once[0] + 3 * once[2]) / 4).detach(), 1e-12)


@pytest.mark.parametrize(("dtype", "tol"), [(torch.float32, 2e-6), (torch.bfloat16, 2e-2), (torch.float16, 3e-3)])
def test_narrow_types(dtype: torch.dtype, tol: float, backend: str) -> None:
    # Sums are kept in float32; what is left is the rounding of the rows: 2^-8 and 2^-11 of logits of size 5.
    view, main = (x.detach() for x in rows(40, 8, scale=0.5))
    index = torch.arange(40).repeat(2)
    wanted = lightgcl_contrast(view, main, index, temperature=0.5)
    found = lightgcl_contrast(view.to(dtype), main.to(dtype), index, temperature=0.5)
    assert found.dtype == torch.float32
    close(found, wanted, tol)
    scores = view[:, 0].to(dtype), main[:, 0].to(dtype)
    assert bpr(*scores).dtype == torch.float32
    close(bpr(*scores), bpr(view[:, 0], main[:, 0]), tol)


def test_extreme_logits_stay_finite(backend: str) -> None:
    view, main = (x.detach().float().requires_grad_() for x in rows(30, 4, scale=60.0))
    loss = lightgcl_contrast(view, main, torch.arange(30), temperature=0.1)
    assert float(loss.detach()) > 1e4  # exp overflows float32 above 88
    for grad in torch.autograd.grad(loss, (view, main)):
        assert bool(torch.isfinite(grad).all())
    far = torch.tensor([1e30, -1e30], requires_grad=True)
    value = bpr(far, -far)
    assert torch.isfinite(value)
    assert torch.equal(torch.autograd.grad(value, far)[0], torch.tensor([0.0, -1.0]))


def test_memory_does_not_hold_the_batch_times_the_nodes() -> None:
    code = """
        import resource, torch
        from graphrep.objectives import lightgcl_contrast
        view, main = torch.randn(20_000, 8, requires_grad=True), torch.randn(20_000, 8, requires_grad=True)
        small = torch.arange(64)
        lightgcl_contrast(view[:64], main[:64], small, temperature=0.5).backward()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        lightgcl_contrast(view, main, torch.arange(8192), temperature=0.5).backward()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    run = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(run, capture_output=True, text=True, check=True, env=os.environ | {"GRAPHREP_BACKEND": "cpu"})
    assert int(done.stdout) * 1024 < 8192 * 20_000 * 4 / 5  # the array would have 655 MB


# errors


def test_errors() -> None:
    view, main = (x.detach() for x in rows(4, 3))
    index = torch.tensor([0, 1])
    with pytest.raises(GraphrepError, match="temperature must be positive"):
        lightgcl_contrast(view, main, index, temperature=0.0)
    with pytest.raises(GraphrepError, match="pos_clamp must be positive"):
        lightgcl_contrast(view, main, index, temperature=1.0, pos_clamp=-1.0)
    with pytest.raises(ShapeError, match=r"view_query has shape \(4, 3\) and main_keys \(3, 3\)"):
        lightgcl_contrast(view, main[:3], index, temperature=1.0)
    with pytest.raises(IndexRangeError, match="index refers to 4"):
        lightgcl_contrast(view, main, torch.tensor([4]), temperature=1.0)
    with pytest.raises(ShapeError, match="index is empty"):
        lightgcl_contrast(view, main, index[:0], temperature=1.0)
    with pytest.raises(DTypeError, match="index must hold integers"):
        lightgcl_contrast(view, main, index.double(), temperature=1.0)
    with pytest.raises(GraphrepError, match="temperature must be positive"):
        LightGCLContrastLoss(temperature=-1.0)
    with pytest.raises(ShapeError, match="one score of each per pair"):
        bpr(view[:, 0], main[:3, 0])
    with pytest.raises(ShapeError, match="one score of each per pair"):
        bpr(view[:0, 0], main[:0, 0])
    with pytest.raises(DTypeError, match="pos must hold floating-point numbers"):
        bpr(index, index)
    with pytest.raises(UnknownNameError, match='reduction is "sum"'):
        bpr(view[:, 0], main[:, 0], reduction="sum")


def test_module_is_the_function() -> None:
    view, main = (x.detach() for x in rows(4, 3))
    index = torch.tensor([3, 1])
    module = LightGCLContrastLoss(temperature=0.4, pos_clamp=1.0)
    assert torch.equal(module(view, main, index), lightgcl_contrast(view, main, index, temperature=0.4, pos_clamp=1.0))
