"""The torch.library side: opcheck, torch.compile of whole graphs, the table of backends."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from kernel_cases import REDUCTIONS, random_csr
from torch import Tensor

from graphrep.errors import DeviceError, UnknownNameError
from graphrep.kernels import CSR, backend, edge_softmax, scatter, sddmm, spmm, warmup
from graphrep.kernels._dispatch import implementation, implementations
from graphrep.kernels.spmm.sum_cpu import sum_rows

OPS = torch.ops.graphrep


def sample_arguments() -> list[tuple[Any, tuple[Any, ...]]]:
    csr = random_csr(4, 5, 9, weights=())
    t, pos = csr.pattern_t(), csr.t_perm()
    layout, transpose = (csr.rowptr, csr.col), (t.rowptr, t.col, pos)
    assert csr.value is not None
    value = csr.value.clone().requires_grad_()
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    y = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    arg = spmm(csr, x, reduce="max", return_arg=True)[1].to(csr.col.dtype)
    logits = torch.randn(9, 2, dtype=torch.float64, requires_grad=True)
    alpha = edge_softmax(csr, logits.detach()).requires_grad_()
    return [
        (OPS.spmm, (*layout, None, value, x, 0, *transpose)),
        (OPS.spmm, (*layout, None, None, x, 1, *transpose)),
        (OPS.spmm, (t.rowptr, t.col, pos, value, y, 2, *layout, None)),
        (OPS.spmm_extreme, (*layout, value, x, 1, 1, *transpose)),
        (OPS.spmm_extreme, (*layout, value.detach(), x.detach(), 1, 2, *transpose)),
        (OPS.spmm_winners, (*transpose, value, y, arg, *layout)),
        (OPS.sddmm, (*layout, y, x, 0, *transpose)),
        (OPS.sddmm_winners, (*layout, y, x, arg, 0, *transpose)),
        (OPS.edge_softmax, (csr.rowptr, logits)),
        (OPS.edge_softmax_backward, (csr.rowptr, alpha, logits, None)),
        (OPS.group_by_row, (csr.row(), csr.col, 4)),
    ]


@pytest.mark.parametrize("case", range(11))
def test_opcheck(case: int) -> None:
    operator, arguments = sample_arguments()[case]
    torch.library.opcheck(operator, arguments)


@pytest.mark.parametrize("transposed", [False, True])
def test_compiles_as_one_graph_forward_and_backward(transposed: bool) -> None:
    def model(csr: CSR, x: Tensor, w: Tensor) -> Tensor:
        y = spmm(csr.with_value(w), x)
        z = y + sum(spmm(csr, y, reduce=reduce) for reduce in REDUCTIONS)
        alpha = edge_softmax(csr, sddmm(csr, z, z))
        return spmm(csr.with_value(alpha), z, reduce="mean").square().sum()

    csr = random_csr(12, 12, 60, seed=1)
    if transposed:
        csr.t()
    x = torch.randn(12, 5, dtype=torch.float64, requires_grad=True)
    w = torch.rand(60, dtype=torch.float64, requires_grad=True)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    found = compiled(csr, x, w)
    wanted = model(csr, x, w)
    torch.testing.assert_close(found, wanted)
    for a, b in zip(torch.autograd.grad(found, (x, w)), torch.autograd.grad(wanted, (x, w)), strict=True):
        torch.testing.assert_close(a, b)


def test_every_operation_has_a_reference_and_a_cpu_kernel() -> None:
    """A kernel module that is not imported would be replaced by the reference without a word."""
    table = implementations()
    ours = {"spmm", "spmm_extreme", "spmm_winners", "sddmm", "sddmm_winners", "edge_softmax", "edge_softmax_backward"}
    ours |= {"edge_logsumexp", "edge_logsumexp_backward"}
    assert ours | {"group_by_row"} <= set(table)
    assert all({"reference", "cpu"} <= set(table[op]) for op in ours)


def test_warmup_leaves_nothing_to_compile() -> None:
    warmup(parallel=False)
    before = len(sum_rows.serial.signatures)
    x = torch.randn(5, 3, requires_grad=True)
    spmm(random_csr(4, 5, 9), x).sum().backward()
    assert len(sum_rows.serial.signatures) == before


def test_backend_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRAPHREP_BACKEND", raising=False)
    assert backend() == "cpu"
    assert backend("cuda") == "cuda"
    monkeypatch.setenv("GRAPHREP_BACKEND", "reference")
    assert backend() == "reference"
    assert implementation("spmm", torch.device("cpu")).__module__.endswith("reference")
    monkeypatch.setenv("GRAPHREP_BACKEND", "cuda")
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(DeviceError, match="cuda"):
        scatter(torch.ones(2), torch.tensor([0, 1]))
    monkeypatch.setenv("GRAPHREP_BACKEND", "tpu")
    with pytest.raises(UnknownNameError, match="tpu"):
        backend()
