"""Every operator on the device against its float64 definition, before anything is timed.

The definition is the plain torch form on the CPU in float64; the numbers that both get are those that the storage type
can hold. Graphs have empty rows, duplicates, rows on both sides of every limit of the schedule and awkward sizes.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from graphrep.errors import DeviceError
from graphrep.kernels import CSR, edge_logsumexp, edge_softmax, sddmm, segment_reduce, spmm, streaming_logsumexp
from graphrep.kernels.gat import gat_aggregate

__all__ = ["Check", "backend", "checks", "gradient_checks", "largest_error", "on_device", "run_check"]

# Largest error over largest value. Half types: one rounding of the result. float32: sums of some thousand terms.
TOLERANCE = {torch.float64: 1e-11, torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}
REDUCTIONS = ("sum", "mean", "max", "min")
HUBS = {True: 150, False: 2100}  # entries of the longest row, by `quick`
SIZES = ((0, 3, 0), (1, 1, 1), (2, 63, 40), (257, 63, 400))  # rows, columns, entries


@dataclass(frozen=True)
class Check:
    """One comparison: the same function of the same inputs on the device and, in float64, on the CPU."""

    name: str
    function: Callable[..., Any]
    csr: CSR
    inputs: tuple[Tensor, ...]
    tolerance: float


@contextlib.contextmanager
def backend(name: str) -> Iterator[None]:
    """Runs the operators of graphrep on that backend meanwhile."""
    before = os.environ.get("GRAPHREP_BACKEND")
    os.environ["GRAPHREP_BACKEND"] = name
    try:
        yield
    finally:
        os.environ["GRAPHREP_BACKEND"] = before or "auto"


def on_device(device: torch.device, function: Callable[[], Any]) -> Any:
    """Runs a function on the kernels of a CUDA device, or on the CPU on the same ones in the interpreter.

    An operator without a Triton kernel runs on plain torch on a device; in a dry run it says so and runs on numba.
    """
    if device.type == "cuda":
        with backend("auto"):
            return function()
    try:
        with backend("cuda"):
            return function()
    except DeviceError as missing:
        print(f"not interpreted: {str(missing).splitlines()[0]}", flush=True)
    with backend("cpu"):
        return function()


def _csr(num_dst: int, num_src: int, num_edges: int, *, hub: int = 0, weights: tuple[int, ...] | None = None) -> CSR:
    """A random graph; with `hub`, row 0 has that many entries, and rows 1 to 4 have 16, 17, hub / 4 and hub / 4 + 1."""
    generator = torch.Generator().manual_seed(num_dst + num_edges)
    destination = torch.randint(0, max(num_dst, 1), (num_edges,), generator=generator)
    if hub:
        extra = torch.repeat_interleave(torch.arange(5), torch.tensor([hub, 16, 17, hub // 4, hub // 4 + 1]))
        destination = torch.cat([extra, destination.clamp(min=5)])
    source = torch.randint(0, max(num_src, 1), destination.shape, generator=generator)
    value = None if weights is None else torch.randn(destination.numel(), *weights, generator=generator)
    return CSR.from_edge_index(torch.stack([source, destination]), value, size=(num_src, num_dst))


def _numbers(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Multiples of 1/8 below 8: every type holds them, and ties of maxima are the same in all."""
    generator = torch.Generator().manual_seed(sum(shape))
    return (torch.randint(-64, 64, shape, generator=generator) / 8).to(dtype)


def _with_gradients(function: Callable[..., Tensor]) -> Callable[..., list[Tensor]]:
    """The result and its gradients with respect to all inputs for one fixed cotangent."""

    def run(csr: CSR, *inputs: Tensor) -> list[Tensor]:
        leaves = [t.detach().clone().requires_grad_() for t in inputs]
        out = function(csr, *leaves)
        cotangent = _numbers(*out.shape, dtype=torch.float64).to(out.device, out.dtype)
        return [out.detach(), *torch.autograd.grad(out, leaves, cotangent)]

    return run


def _spmm(reduce: str) -> Callable[..., Tensor]:
    def run(csr: CSR, x: Tensor, *value: Tensor) -> Tensor:
        out: Tensor = spmm(csr.with_value(value[0]) if value else csr.with_value(None), x, reduce=reduce)
        return out

    return run


def _spmm_checks(dtype: torch.dtype, quick: bool) -> Iterator[Check]:
    labels = {None: "plain", (): "weighted", (2,): "per head"}
    chosen = [(None, "max"), ((2,), "mean")] if quick else [(w, r) for w in labels for r in REDUCTIONS]
    for weights, reduce in chosen:
        csr = _csr(30, 23, 100, hub=HUBS[quick], weights=weights)
        value = () if csr.value is None else (csr.value.to(dtype),)
        run = _with_gradients(_spmm(reduce)) if dtype.itemsize > 2 else _spmm(reduce)
        name = f"spmm {reduce} {labels[weights]} {dtype}"
        yield Check(name, run, csr, (_numbers(23, 2, 10, dtype=dtype), *value), 4 * TOLERANCE[dtype])
    for width in (130,) if quick else (1, 3, 20, 63, 64, 130, 257):
        csr = _csr(30, 23, 200)
        yield Check(
            f"spmm d={width} {dtype}", _spmm("mean"), csr, (_numbers(23, width, dtype=dtype),), TOLERANCE[dtype]
        )


def _size_checks() -> Iterator[Check]:
    for rows, columns, entries in SIZES:
        csr = _csr(rows, columns, entries)
        for reduce in ("sum", "max"):
            name = f"spmm {reduce} {rows} x {columns}, {entries} entries"
            yield Check(name, _spmm(reduce), csr, (_numbers(columns, 5),), TOLERANCE[torch.float32])
        q, k = _numbers(rows, 5), _numbers(columns, 5)
        yield Check(f"sddmm {rows} x {columns}", sddmm, csr, (q, k), TOLERANCE[torch.float32])


def _other_checks(dtype: torch.dtype, quick: bool) -> Iterator[Check]:
    csr, tolerance = _csr(30, 23, 100, hub=HUBS[quick]), 4 * TOLERANCE[dtype]
    gradients = _with_gradients if dtype.itemsize > 2 else (lambda function: function)
    q, k = _numbers(30, 2, 9, dtype=dtype), _numbers(23, 2, 9, dtype=dtype)
    yield Check(f"sddmm {dtype}", gradients(sddmm), csr, (q, k), tolerance)
    for heads in (4,) if quick else (1, 3, 4, 8, 33):
        logits = _numbers(csr.nnz, heads, dtype=dtype)
        yield Check(f"edge_softmax H={heads} {dtype}", gradients(edge_softmax), csr, (logits,), tolerance)
    for reduce in REDUCTIONS[:1] if quick else REDUCTIONS:
        name, src = f"segment_reduce {reduce} {dtype}", _numbers(csr.nnz, 3, dtype=dtype)
        yield Check(name, functools.partial(_segments, reduce=reduce), csr, (src,), tolerance)
    left, right = _numbers(23, 2, dtype=dtype), _numbers(30, 2, dtype=dtype)
    inputs = (_numbers(23, 2, 9, dtype=dtype), left, right)
    yield Check(f"gat_aggregate {dtype}", gradients(gat_aggregate), csr, inputs, tolerance)
    ends = (_numbers(30, 10, dtype=dtype), _numbers(23, 10, dtype=dtype), _numbers(csr.nnz, dtype=dtype).abs())
    yield Check(f"edge_logsumexp {dtype}", gradients(_edge_sum), csr, ends, tolerance)
    if dtype.itemsize > 2:
        pairs = (_numbers(70, 24, dtype=dtype) / 8, _numbers(130, 24, dtype=dtype) / 8)
        yield Check(f"streaming_logsumexp {dtype}", gradients(_log_sum), csr, pairs, tolerance)


def _segments(csr: CSR, src: Tensor, *, reduce: Any) -> Tensor:
    return segment_reduce(src, csr.rowptr, reduce=reduce)


def _edge_sum(csr: CSR, q: Tensor, k: Tensor, value: Tensor) -> Tensor:
    """The sum itself, which is 0 and not -inf for an empty row; products of 5 at most."""
    return edge_logsumexp(csr.with_value(value), q, k, scale=0.01, zero_diagonal=True).exp()


def _log_sum(csr: CSR, q: Tensor, k: Tensor) -> Tensor:
    out: Tensor = streaming_logsumexp(q, k, scale=2.0)
    return out


def checks(*, quick: bool = False) -> Iterator[Check]:
    """All comparisons; `quick` is a choice for the interpreter, which is slow."""
    for dtype in (torch.float32, torch.bfloat16) if quick else TOLERANCE:
        yield from _spmm_checks(dtype, quick)
        yield from _other_checks(dtype, quick)
    yield from _size_checks()


def _wide(csr: CSR) -> CSR:
    """The same matrix with int64 indices, as one with more than 2^31 entries has them."""
    return CSR._trusted(csr.rowptr.long(), csr.col.long(), csr.value, csr.num_cols, csr.perm.long())


def run_check(check: Check, device: torch.device) -> float:
    """Largest error over largest value (at least 1), for int32 and for int64 indices; infinity for NaN or a shape."""
    inputs = tuple(t.to(device) for t in check.inputs)
    with backend("reference"):
        wanted = check.function(check.csr.with_value(None), *(t.double() for t in check.inputs))
    worst = 0.0
    for csr in (check.csr, _wide(check.csr)):
        on = csr.with_value(None).to(device)
        found = on_device(device, lambda on=on: check.function(on, *inputs))
        worst = max(worst, largest_error(_listed(found), _listed(wanted)))
    return worst


def gradient_checks(device: torch.device) -> Iterator[tuple[str, Callable[..., Any], tuple[Tensor, ...]]]:
    """Name, function and float64 inputs for finite differences."""
    csr = _csr(5, 6, 17, weights=()).to(device)

    def leaf(*shape: int) -> Tensor:
        # Small steps on top, so that no maximum is tied where finite differences are taken.
        steps = torch.linspace(0, 0.1, math.prod(shape), dtype=torch.float64).reshape(shape)
        return (_numbers(*shape, dtype=torch.float64) + steps).to(device).requires_grad_()

    for reduce in REDUCTIONS:
        yield f"spmm {reduce}", functools.partial(_spmm(reduce), csr), (leaf(6, 2, 3), leaf(17))
    yield "sddmm", functools.partial(sddmm, csr), (leaf(5, 2, 3), leaf(6, 2, 3))
    yield "edge_softmax", functools.partial(edge_softmax, csr), (leaf(17, 2),)
    yield "gat_aggregate", functools.partial(gat_aggregate, csr), (leaf(6, 2, 3), leaf(6, 2), leaf(5, 2))
    ends = (leaf(5, 3), leaf(6, 3), leaf(17).detach().abs().requires_grad_())
    yield "edge_logsumexp", functools.partial(_edge_sum, csr), ends
    yield "streaming_logsumexp", streaming_logsumexp, (leaf(5, 4), leaf(7, 4))


def _listed(result: Any) -> list[Tensor]:
    return list(result) if isinstance(result, (list, tuple)) else [result]


def largest_error(found: list[Tensor], wanted: list[Tensor]) -> float:
    """Largest difference over largest value (at least 1) of several results; infinite for NaN or another shape."""
    worst = 0.0
    for ours, theirs in zip(found, wanted, strict=True):
        if ours.shape != theirs.shape:
            return float("inf")
        if theirs.numel():
            difference = float((ours.to(theirs.device, torch.float64) - theirs).abs().max())
            error = difference / max(1.0, float(theirs.abs().max()))
            worst = max(worst, error if error == error else float("inf"))
    return worst
