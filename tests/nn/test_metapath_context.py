"""Means over the reach of a path: streamed and stored, against dense means; samples, gradients, moving, errors."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from metapath_cases import dense, pairs, random_relation, relation
from torch import Tensor

from graphrep.errors import DTypeError, EmptyGraphError, GraphrepError, ShapeError, UnknownNameError
from graphrep.kernels import CSR
from graphrep.nn import MetaPathContext, metapath_contexts

PATHS = [["AP"], ["AP", "PC"], ["AP", "PC", "~PC"], ["AP", "PT", "~PT", "PC"]]
modes = pytest.mark.parametrize("budget", [0, 1 << 20], ids=["streamed", "stored"])
paths = pytest.mark.parametrize("path", PATHS, ids="-".join)


@pytest.fixture(params=["cpu", "reference"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GRAPHREP_BACKEND", request.param)
    return str(request.param)


def graph() -> dict[str, CSR]:
    return {
        "AP": random_relation(20, 30, 50), "PC": random_relation(30, 4, 40, 1), "PT": random_relation(30, 15, 60, 2),
    }  # fmt: skip


def dense_mean(relations: dict[str, CSR], path: list[str]) -> Tensor:
    reach = None
    for name in path:
        step = (dense(relations[name.removeprefix("~")]) > 0).double()
        step = step.t() if name.startswith("~") else step
        reach = step if reach is None else ((reach @ step) > 0).double()
    assert reach is not None
    return reach / reach.sum(1, keepdim=True).clamp(min=1)


@paths
@modes
def test_is_the_dense_mean(backend: str, path: list[str], budget: int) -> None:
    relations = graph()
    context = MetaPathContext(relations, path, budget=budget)
    wanted = dense_mean(relations, path)
    assert context.stored == (budget > 0 or len(path) == 1)
    assert context.shape == tuple(wanted.shape)
    assert torch.equal(context.counts, (wanted > 0).sum(1))
    x = torch.randn(wanted.shape[1], 5, dtype=torch.float64, requires_grad=True)
    out = context(x)
    torch.testing.assert_close(out, wanted @ x, rtol=0, atol=1e-14)
    weight = torch.randn_like(out)
    torch.testing.assert_close(torch.autograd.grad(out, x, weight)[0], wanted.t() @ weight, rtol=0, atol=1e-13)


@modes
def test_gradients(backend: str, budget: int) -> None:
    relations = {"R": random_relation(5, 4, 9)}
    context = MetaPathContext(relations, ["R", "~R"], budget=budget)
    x = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(context, (x,))
    assert torch.autograd.gradgradcheck(context, (x,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_both_ways_agree_in_other_types(dtype: torch.dtype) -> None:
    relations = graph()
    x = torch.randn(30, 24).to(dtype)
    one, other = (MetaPathContext(relations, PATHS[2], budget=budget)(x) for budget in (0, 1 << 20))
    assert one.dtype == other.dtype == dtype
    tol = {torch.float32: 1e-6, torch.bfloat16: 2e-2}[dtype]  # means of up to 30 numbers, rounded once
    torch.testing.assert_close(one, other, rtol=tol, atol=tol)


@given(pairs, st.permutations(range(6)), st.sampled_from([0, 1 << 20]), st.sampled_from([torch.int32, torch.int64]))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_renumbering(entries: list[tuple[int, int]], order: list[int], budget: int, index: torch.dtype) -> None:
    place = torch.tensor(order)
    x = torch.randn(6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    plain = MetaPathContext({"R": relation(entries, index=index)}, ["R", "~R"], budget=budget)
    moved = MetaPathContext({"R": relation([(order[i], j) for i, j in entries] * 2)}, ["R", "~R"], budget=budget)
    shifted = torch.empty_like(x)
    shifted[place] = x
    torch.testing.assert_close(moved(shifted)[place], plain(x))


@pytest.mark.parametrize("path", [["AP"], ["AP", "PC", "~PC"]], ids="-".join)
def test_samples(backend: str, path: list[str]) -> None:
    relations = graph()
    whole = dense_mean(relations, path) > 0
    sample = MetaPathContext(relations, path, max_neighbors=3, budget=0)
    assert sample.stored
    assert torch.equal(sample.counts, whole.sum(1).clamp(max=3))
    eye = torch.eye(30, dtype=torch.float64)
    found = sample(eye)
    assert bool(whole[found > 0].all())
    torch.testing.assert_close(found.sum(1), (whole.sum(1) > 0).double())
    assert torch.equal(MetaPathContext(relations, path, max_neighbors=3)(eye), found)
    if len(path) > 1:  # rows of one step are too short for two samples to differ for sure
        assert not torch.equal(MetaPathContext(relations, path, max_neighbors=3, seed=1)(eye), found)
    everything = MetaPathContext(relations, path, max_neighbors=30)
    torch.testing.assert_close(everything(eye), dense_mean(relations, path))


@modes
def test_is_a_module_without_parameters(budget: int) -> None:
    context = MetaPathContext(graph(), ["AP", "PC", "~PC"], budget=budget)
    assert list(context.state_dict()) == []
    assert list(context.parameters()) == []
    assert ("streamed" if budget == 0 else "stored") in repr(context)
    x = torch.randn(30, 3)
    wanted = context(x)
    for moved in (context.to("cpu"), context.double().float(), copy.deepcopy(context)):
        assert torch.equal(moved(x), wanted)
    assert context.counts.dtype == torch.int64
    elsewhere = MetaPathContext(graph(), ["AP", "PC", "~PC"], budget=budget).to("meta")
    assert all(part.device.type == "meta" for part in elsewhere._parts)


def test_errors() -> None:
    relations = {**graph(), "none": relation([], (30, 3))}
    with pytest.raises(UnknownNameError, match='no relation "PX"'):
        MetaPathContext(relations, ["AP", "PX"])
    with pytest.raises(EmptyGraphError, match="no entries"):
        MetaPathContext(relations, ["AP", "none"])
    with pytest.raises(GraphrepError, match="budget must be a number of bytes, 0 or more; got -1"):
        MetaPathContext(relations, ["AP"], budget=-1)
    for path in (["AP"], ["AP", "PC"]):
        with pytest.raises(GraphrepError, match="at least 1; got 0"):
            MetaPathContext(relations, path, max_neighbors=0)
    for path in (["AP"], ["AP", "PC", "~PC"]):
        context = MetaPathContext(relations, path, budget=0)
        with pytest.raises(ShapeError, match=r"x has shape \(20, 2\)[\s\S]*leads to 30 objects"):
            context(torch.ones(20, 2))
        with pytest.raises(DTypeError, match="floating-point"):
            context(torch.ones(30, 2, dtype=torch.int64))


def test_contexts_of_paths() -> None:
    assert metapath_contexts(["PA", "~PA"]) == [["PA"]]
    assert metapath_contexts(["~PA", "PC", "~PC", "PA"]) == [["~PA"], ["~PA", "PC"], ["~PA", "PC", "~PC"]]
    assert metapath_contexts(["cites"]) == []
    with pytest.raises(DTypeError, match="list of relation names"):
        metapath_contexts("PAP")
