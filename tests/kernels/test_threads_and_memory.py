"""Same bytes for any number of threads, kernels in forked children, and no E x d array in forward or backward."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from kernel_cases import random_csr
from set_cases import peak_bytes
from torch import Tensor

from graphrep.kernels import CSR, _numba, edge_softmax, scatter, sddmm, spmm


def results() -> list[Tensor]:
    """Outputs and gradients of every kernel on a graph large enough for threads, with one long row."""
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(0, 3000, (2, 30_000), generator=generator)
    edges[1, :5000] = 7
    w = torch.rand(30_000, generator=generator).requires_grad_()
    x = torch.randn(3000, 80, generator=generator).requires_grad_()
    csr = CSR.from_edge_index(edges, w, size=(3000, 3000))
    found = []
    for reduce in ("sum", "mean", "max"):
        out = spmm(csr, x, reduce=reduce)
        found += [out, *torch.autograd.grad(out, (x, w), out.detach().cos(), retain_graph=True)]
    out = spmm(csr.with_value(None), x)
    found += [out, torch.autograd.grad(out, x, out.detach())[0]]
    logits = sddmm(csr, x, x).detach().requires_grad_()
    alpha = edge_softmax(csr, logits)
    found += [logits, alpha, torch.autograd.grad(alpha, logits, alpha.detach().cos())[0]]
    found += [csr.t().col, csr.t_perm(), scatter(x, edges[0, :3000])]
    return [t.detach() for t in found]


def digest() -> str:
    return hashlib.sha256(b"".join(t.numpy().tobytes() for t in results())).hexdigest()


def run_child(code: str, **environment: str) -> str:
    completed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": os.path.dirname(__file__), **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr[-2000:]
    return completed.stdout.strip()


def test_same_bytes_with_one_two_and_four_threads() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = digest()
        torch.set_num_threads(2)
        assert digest() == one
    finally:
        torch.set_num_threads(before)
    code = """
        import torch
        torch.set_num_threads(4)
        from graphrep.kernels._numba import num_threads
        from test_threads_and_memory import digest
        assert num_threads() == 4
        print(digest())
    """
    assert run_child(code, NUMBA_NUM_THREADS="4") == one


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kernels_run_in_a_forked_child() -> None:
    """The parent has used the thread pool, which a forked child must not enter."""
    code = """
        import os
        import torch
        torch.set_num_threads(2)
        from test_threads_and_memory import digest
        parent = digest()
        child = os.fork()
        if child == 0:
            torch.set_num_threads(1)
            os._exit(0 if digest() == parent else 3)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert run_child(code, NUMBA_NUM_THREADS="2") == "0"


PEAK = """
    import resource, torch
    from graphrep.kernels import CSR, edge_softmax, random_walks, sample_neighbors, sddmm, spmm
    from graphrep.methods import FastRP
    torch.set_num_threads(1)

    def sums(csr, x):
        for reduce in ("sum", "mean", "max", "min"):
            spmm(csr, x, reduce=reduce).sum().backward(retain_graph=True)

    def dots(csr, x):
        sddmm(csr, x, x).sum().backward()

    def softmax(csr, x):
        edge_softmax(csr, csr.value[:, None]).cos().sum().backward()

    def samples(csr, x):
        starts = torch.arange(csr.num_rows)
        random_walks(csr, starts, 20, seed=0)
        random_walks(csr, starts, 20, p=0.5, q=2.0, seed=0)
        sample_neighbors(csr, starts, 10, seed=0)

    def fastrp(csr, x):
        FastRP(dim=64).fit_transform(csr)

    def run(num_nodes, num_edges, width):
        generator = torch.Generator().manual_seed(0)
        edges = torch.randint(0, num_nodes, (2, num_edges), generator=generator)
        w = torch.rand(num_edges, generator=generator).requires_grad_()
        csr = CSR.from_edge_index(edges, w, size=(num_nodes, num_nodes))
        x = torch.randn(num_nodes, width, generator=generator).requires_grad_()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        OPERATOR(csr if OPERATOR is not fastrp else CSR(csr.rowptr, csr.col, num_cols=num_nodes), x)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    run(10, 20, 64)  # compiles
    print(run(2_000, 400_000, 64))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak resident set as Linux reports it")
@pytest.mark.parametrize("operator", ["sums", "dots", "softmax", "samples", "fastrp"])
def test_no_array_of_edges_times_width(operator: str) -> None:
    """E x d would be 102 MB here; allowed are a few arrays of N x d (0.5 MB) and of E (1.6 MB)."""
    assert peak_bytes(PEAK.replace("OPERATOR", operator)) < 30e6


# memory that finished outputs leave for the next ones


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> _numba._Pool:
    own = _numba._Pool(64 << 20)
    monkeypatch.setattr(_numba, "_pool", own)
    return own


def large(rows: int = 3 << 20) -> Tensor:
    return _numba.empty_output((rows,), torch.float32)


def test_the_next_output_takes_the_memory_of_a_finished_one(pool: _numba._Pool) -> None:
    first = large()
    place = first.data_ptr()
    assert place % _numba.CACHE_LINE == 0
    view = first[5:].numpy()  # whatever still refers to the memory keeps it
    del first
    assert large().data_ptr() != place
    pool.clear()
    assert view.size
    del view
    again = large()
    assert again.data_ptr() == place
    del again
    assert large(1 << 20).data_ptr() != place, "much smaller outputs do not take large memory"


def test_the_memory_that_is_kept_has_a_limit(pool: _numba._Pool) -> None:
    outputs = [large() for _ in range(9)]  # 12 MB each
    del outputs
    assert sum(memory.size for memory in pool._free) <= pool.limit
    assert len(pool._free) == 5
    _numba.release_memory()
    assert not pool._free
    pool.limit = 0
    large()
    assert not pool._free


def test_no_two_outputs_share_memory(pool: _numba._Pool) -> None:
    def worker(number: int) -> bool:
        for _ in range(30):
            out = large().fill_(number)
            if not bool((out == number).all()):
                return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(worker, range(4)))


def test_weights_that_change_are_ordered_again() -> None:
    csr = random_csr(50, 40, 300, weights=(), dtype=torch.float64)
    x = torch.randn(40, 3, dtype=torch.float64, requires_grad=True)
    weight = csr.value.clone()
    for _ in range(2):
        weighted = csr.with_value(weight)
        (grad,) = torch.autograd.grad(spmm(weighted, x).sum(), x)
        dense = torch.zeros(50, 40, dtype=torch.float64).index_put((csr.row().long(), csr.col.long()), weight, True)
        torch.testing.assert_close(grad, dense.sum(0)[:, None].expand(40, 3))
        weight.mul_(2)
