"""What only a CUDA device can show: memory, synchronisation, repeatability, large offsets. Run by ``make gpu``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from kernel_cases import REDUCTIONS, close, random_csr
from torch import Tensor

from graphrep.kernels import CSR, edge_logsumexp, edge_softmax, gcn_norm, random_walks, scatter_max, sddmm, spmm
from graphrep.kernels.skipgram import partition_nodes, skipgram_, walk_pairs

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
CUDA = torch.device("cuda")


def large(weights: tuple[int, ...] | None = None) -> CSR:
    """20,000 rows and 2 million entries, a fifth of them in one row."""
    generator = torch.Generator().manual_seed(0)
    source, destination = torch.randint(0, 20_000, (2, 2_000_000), generator=generator)
    destination[:400_000] = 7
    value = None if weights is None else torch.rand(2_000_000, *weights, generator=generator)
    return CSR.from_edge_index(torch.stack([source, destination]), value, size=(20_000, 20_000)).to(CUDA)


def features(*shape: int, grad: bool = False) -> Tensor:
    return torch.randn(*shape, device=CUDA, generator=torch.Generator(CUDA).manual_seed(1)).requires_grad_(grad)


@pytest.fixture
def no_synchronisation() -> Iterator[None]:
    """Any wait for the device is an error."""
    yield
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_memory_stays_far_below_the_array_of_messages(reduce: str) -> None:
    csr, x = large(()), features(20_000, 64, grad=True)
    csr.t()
    spmm(csr, x, reduce=reduce).sum().backward()
    x.grad = None
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    spmm(csr, x, reduce=reduce).sum().backward()
    peak = torch.cuda.max_memory_allocated() - before
    assert peak < 2_000_000 * 64 * 4 / 8


def test_nothing_waits_for_the_device_once_the_schedule_is_known(no_synchronisation: None) -> None:
    csr = large(())
    assert csr.value is not None
    csr = csr.with_value(csr.value.requires_grad_())
    x = features(20_000, 2, 16, grad=True)

    def step() -> None:
        alpha = edge_softmax(csr, sddmm(csr, x, x))
        out = spmm(csr.with_value(alpha), x) + spmm(csr, x.flatten(1), reduce="max").view_as(x)
        torch.autograd.grad(out.square().sum() + spmm(csr, x, reduce="mean").sum(), (x, csr.value))

    step()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    step()


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_the_same_bytes_on_every_run(reduce: str) -> None:
    base, x = large(()), features(20_000, 40, grad=True)
    assert base.value is not None
    csr = base.with_value(base.value.requires_grad_())

    def results() -> list[Tensor]:
        out = spmm(csr, x, reduce=reduce)
        return [out.detach(), *torch.autograd.grad(out.square().sum(), (x, csr.value))]

    first = results()
    for _ in range(3):
        assert all(torch.equal(a, b) for a, b in zip(results(), first, strict=True))


def test_the_device_gives_what_the_cpu_gives() -> None:
    csr = random_csr(3000, 2000, 40_000, weights=(), dtype=torch.float32)
    x = torch.randn(2000, 48, generator=torch.Generator().manual_seed(0))
    for reduce in REDUCTIONS:
        close(spmm(csr.to(CUDA), x.to(CUDA), reduce=reduce).cpu(), spmm(csr, x, reduce=reduce), 2e-6)
    logits = torch.randn(csr.nnz, 4, generator=torch.Generator().manual_seed(1))
    close(edge_softmax(csr.to(CUDA), logits.to(CUDA)).cpu(), edge_softmax(csr, logits), 1e-5)  # fast exponentials
    plain, q = csr.with_value(None), torch.randn(3000, 48, generator=torch.Generator().manual_seed(2))
    found = edge_logsumexp(plain.to(CUDA), q.to(CUDA), x.to(CUDA), scale=0.1)
    close(found.cpu(), edge_logsumexp(plain, q, x, scale=0.1), 1e-5)


def test_a_graph_is_built_on_the_device() -> None:
    generator = torch.Generator().manual_seed(3)
    edges, weight = torch.randint(0, 500, (2, 9000), generator=generator), torch.rand(9000, generator=generator)
    for dtype in (torch.int32, torch.int64):
        ours = CSR.from_edge_index(edges.to(CUDA, dtype), weight.to(CUDA), size=(500, 500))
        theirs = CSR.from_edge_index(edges, weight, size=(500, 500))
        for name in ("rowptr", "col", "perm", "value"):
            assert torch.equal(getattr(ours, name).cpu(), getattr(theirs, name))
            assert torch.equal(getattr(ours.t(), name).cpu(), getattr(theirs.t(), name))
    normed = gcn_norm(edges.to(CUDA), weight.to(CUDA), num_nodes=500)
    close(normed.value.cpu(), gcn_norm(edges, weight, num_nodes=500).value, 1e-6)
    found = scatter_max(weight.to(CUDA), edges[0].to(CUDA), 0, dim_size=500)
    wanted = scatter_max(weight, edges[0], 0, dim_size=500)
    assert all(torch.equal(a.cpu(), b) for a, b in zip(found, wanted, strict=True))


def test_rows_behind_two_to_the_31_numbers() -> None:
    rows, width = 4_300_000, 512
    if torch.cuda.mem_get_info()[0] < 3 * rows * width * 2:
        pytest.skip("needs 13 GB of free device memory")
    x = torch.zeros(rows, width, dtype=torch.bfloat16, device=CUDA)
    x[-1], x[-2] = 3, 5
    edges = torch.tensor([[rows - 1, rows - 2, 0], [0, 0, 1]], device=CUDA)
    csr = CSR.from_edge_index(edges, size=(rows, 2))
    assert spmm(csr, x)[:, 0].tolist() == [8.0, 0.0]
    assert spmm(csr, x, reduce="max", return_arg=True)[1][0].unique().tolist() == [1]
    back = csr.t()
    y = torch.ones(2, width, dtype=torch.bfloat16, device=CUDA)
    assert spmm(back, y)[-2:].sum(1).tolist() == [float(width)] * 2


def test_inference_mode() -> None:
    csr, x = large(), features(20_000, 8)
    wanted = spmm(csr, x)
    with torch.inference_mode():
        assert torch.equal(spmm(csr, x), wanted)
        assert torch.equal(spmm(large(), x), wanted)


def test_skipgram_learns_on_the_device_what_it_does_on_the_cpu() -> None:
    """Batches of 32 pairs of each block, in float64, twice with the same bytes."""
    csr = random_csr(500, 500, 4000, seed=1)
    parts = partition_nodes(csr.degree().double(), 4)
    walks = random_walks(csr, torch.arange(500), 6, seed=0)
    pairs = walk_pairs(csr, walks, parts.part, 4, window=2, both=True, shrink=True, seed=0)
    on = walk_pairs(csr.to(CUDA), walks.to(CUDA), parts.part.to(CUDA), 4, window=2, both=True, shrink=True, seed=0)
    assert torch.equal(on.source.cpu(), pairs.source)
    assert torch.equal(on.bounds.cpu(), pairs.bounds)
    tables = [torch.randn(500, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(i)) for i in range(2)]
    found = []
    for device, made in (("cpu", pairs), ("cuda", on), ("cuda", on)):
        mine = [table.to(device, copy=True) for table in tables]
        skipgram_(*mine, made, parts.to(device), lr=(0.1, 0.01), num_negatives=2, batch_size=32, seed=3)
        found.append([table.cpu() for table in mine])
    for cpu, first, second in zip(*found, strict=True):
        close(first, cpu, 1e-10)
        assert torch.equal(first, second)
