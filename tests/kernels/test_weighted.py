"""Weighted log-sum-exps over all pairs: dense float64 definitions, blocks, both forms of tanh, extremes, threads."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import close
from set_cases import peak_bytes
from torch import Tensor

from graphrep.errors import GraphrepError
from graphrep.kernels._dispatch import implementations
from graphrep.kernels.weighted import NetworkWeights, cpu, label_contrast, network_contrast, network_moments

OPS = torch.ops.graphrep


def numbers(*shape: int, seed: int, dtype: torch.dtype = torch.float64, factor: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    made = torch.randn(*shape, generator=generator, dtype=torch.float64) * factor
    return made.to(dtype).requires_grad_()


def clusterings(count: int, sizes: tuple[int, ...], seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randint(0, size, (count,), generator=generator) for size in sizes]).int()


def network(n: int, m: int, hidden: int, seed: int, factor: float = 1.0, **options: torch.dtype) -> NetworkWeights:
    shapes = ((n, hidden), (m, hidden), (hidden,), (1,))
    return NetworkWeights(*(numbers(*s, seed=seed + k, factor=factor, **options) for k, s in enumerate(shapes)))


def dense_labels(x: Tensor, y: Tensor, labels: Tensor, scale: float) -> Tensor:
    weight = (labels.unsqueeze(2) != labels.unsqueeze(1)).sum(0).double()
    return torch.logsumexp(scale * (x.double() @ y.double().t()) + weight.log(), 1)


def dense_network(x: Tensor, y: Tensor, w: NetworkWeights, scale: float) -> tuple[Tensor, Tensor]:
    p, q, v, bias = (t.double() for t in w)
    log = torch.nn.functional.logsigmoid(torch.tanh(p.unsqueeze(1) + q) @ v + bias)
    return torch.logsumexp(scale * (x.double() @ y.double().t()) + log, 1), torch.logsumexp(log, 1)


def compare(found: tuple[Tensor, ...], wanted: tuple[Tensor, ...], inputs: tuple[Tensor, ...], tol: float) -> None:
    """Values, and the gradients of a sum in which every row counts differently."""
    grads = []
    for outputs in (found, wanted):
        loss = sum((o.double() * torch.linspace(0.5, 1.5, len(o))).sum() for o in outputs)
        assert isinstance(loss, Tensor)
        grads.append(torch.autograd.grad(loss, inputs))
    for a, b in zip((*found, *grads[0]), (*wanted, *grads[1]), strict=True):
        close(a.detach(), b.detach(), tol)


SIZES = [(1, 1, 1, 1), (2, 5, 1, 2), (23, 7, 3, 3), (130, 211, 20, 5), (300, 97, 64, 16)]


@pytest.mark.parametrize(("n", "width", "clusters"), [(2, 1, (2,)), (23, 3, (4, 23)), (300, 20, (3, 50, 300))])
@pytest.mark.parametrize(("dtype", "tol"), [(torch.float64, 1e-12), (torch.float32, 3e-6)])
def test_labels(n: int, width: int, clusters: tuple[int, ...], dtype: torch.dtype, tol: float, backend: str) -> None:
    x, y = (numbers(n, width, seed=k, dtype=dtype) for k in (1, 2))
    labels = clusterings(n, clusters, 3)
    labels[0, :2] = torch.tensor([0, 1])
    found = label_contrast(x, y, labels, scale=0.7)
    assert found.dtype == dtype
    compare((found,), (dense_labels(x, y, labels, 0.7),), (x, y), tol)


@pytest.mark.parametrize(("n", "m", "width", "hidden"), SIZES)
@pytest.mark.parametrize(("dtype", "tol"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("factor", [0.5, 30.0])
def test_network(
    n: int, m: int, width: int, hidden: int, dtype: torch.dtype, tol: float, factor: float, backend: str
) -> None:
    """With the factor 30 the exponentials of p and q are too large to be multiplied."""
    x, y = (numbers(k, width, seed=k + 1, dtype=dtype, factor=0.5) for k in (n, m))
    w = network(n, m, hidden, 5, dtype=dtype)
    w = NetworkWeights((w.p * factor).detach().requires_grad_(), (w.q * factor).detach().requires_grad_(), w.v, w.bias)
    if n > 100:
        assert cpu._Network(*(t.detach() for t in w)).split == (factor < 1)
    found = network_contrast(x, y, w, scale=0.9, totals=True)
    assert found[0].dtype == dtype
    compare(found, dense_network(x, y, w, 0.9), (x, y, *w), tol)


def test_without_totals(backend: str) -> None:
    x, y, w = numbers(40, 3, seed=1), numbers(50, 3, seed=2), network(40, 50, 4, 3)
    lse, total = network_contrast(x, y, w, scale=2.0)
    assert total.shape == (0,)
    compare((lse,), dense_network(x, y, w, 2.0)[:1], (x, y, *w), 1e-12)


def test_one_output_alone_gets_a_gradient(backend: str) -> None:
    x, y, w = numbers(12, 3, seed=1), numbers(9, 3, seed=2), network(12, 9, 4, 3)
    for place, inputs in ((0, (x, y, *w)), (1, tuple(w))):
        found, wanted = network_contrast(x, y, w, scale=2.0, totals=True), dense_network(x, y, w, 2.0)
        grads = (torch.autograd.grad(out[place].cos().sum(), inputs) for out in (found, wanted))
        for a, b in zip(*grads, strict=True):
            close(a, b, 1e-12)


def test_numbers_far_from_zero_are_centred() -> None:
    """P around 300 and q around -300 have products of exponentials near 1."""
    x, y, w = numbers(8, 3, seed=1), numbers(9, 3, seed=2), network(8, 9, 4, 3)
    far = NetworkWeights((w.p + 300).detach().requires_grad_(), (w.q - 300).detach().requires_grad_(), w.v, w.bias)
    assert cpu._Network(*(t.detach() for t in far)).split
    compare(network_contrast(x, y, far, scale=1.0, totals=True), dense_network(x, y, far, 1.0), (x, y, *far), 1e-11)


@given(st.integers(2, 12), st.integers(1, 5), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_blocks_change_rounding_alone(count: int, block: int, seed: int) -> None:
    x, y, w = numbers(count, 3, seed=seed), numbers(count, 3, seed=seed + 1), network(count, count, 3, seed)
    labels = clusterings(count, (2, count), seed)
    results = []
    for size in (None, block, 100):
        one = label_contrast(x, y, labels, scale=2.0, block_size=size)
        lse, total = network_contrast(x, y, w, scale=2.0, totals=True, block_size=size)
        loss = one.exp().sum() + lse.cos().sum() + total.sin().sum()
        results.append([t.detach() for t in (one, lse, total)] + list(torch.autograd.grad(loss, (x, y, *w))))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            close(b, a, 1e-11)


@pytest.mark.parametrize("scale", [1e-6, 50.0, 1e4])
@pytest.mark.parametrize(("dtype", "tol"), [(torch.float64, 1e-11), (torch.float32, 2e-4)])
def test_extreme_temperatures(scale: float, dtype: torch.dtype, tol: float, backend: str) -> None:
    """The logits of float32 carry rounding errors of 1e-7 of their size, up to 1e-3 here, which gradients inherit."""
    x, y = (torch.nn.functional.normalize(numbers(40, 4, seed=k).detach()).to(dtype) for k in (1, 2))
    y[:20] = x[:20]  # the largest logit of these rows belongs to a pair of weight 0
    x.requires_grad_()
    y.requires_grad_()
    labels, w = clusterings(40, (6, 7), 3), network(40, 40, 5, 4, dtype=dtype)
    tol = max(tol, scale * 1e-6) if dtype == torch.float32 else tol
    compare(
        (label_contrast(x, y, labels, scale=scale) / scale,), (dense_labels(x, y, labels, scale) / scale,), (x, y), tol
    )
    found, wanted = network_contrast(x, y, w, scale=scale), dense_network(x, y, w, scale)
    compare((found[0] / scale,), (wanted[0] / scale,), (x, y, *w), tol)


@pytest.mark.parametrize("bias", [-500.0, 500.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_weights_that_vanish_keep_their_logarithms(bias: float, dtype: torch.dtype, backend: str) -> None:
    """exp(-500) is 0 in float32; its logarithm is not minus infinity, and the gradient does not vanish."""
    a, b = (numbers(20, 3, seed=k, dtype=dtype) for k in (1, 2))
    w = network(20, 20, 4, 3, dtype=dtype)._replace(bias=torch.full((1,), bias, dtype=dtype, requires_grad=True))
    tol = 1e-11 if dtype == torch.float64 else 1e-4  # logits of 500 are rounded to 3e-5
    compare(network_contrast(a, b, w, scale=1.0, totals=True), dense_network(a, b, w, 1.0), (a, b, *w), tol)


def test_rows_without_columns_or_weights(backend: str) -> None:
    x, labels = numbers(3, 2, seed=1), torch.zeros(2, 3, dtype=torch.int32)
    lse = label_contrast(x, x, labels, scale=1.0)
    assert lse.tolist() == [-torch.inf] * 3
    (grad,) = torch.autograd.grad(lse, x, torch.ones(3, dtype=torch.float64))
    assert not grad.any()
    w = network(3, 0, 2, 1)
    y = numbers(0, 2, seed=2)
    lse, total = network_contrast(x, y, w, scale=1.0, totals=True)
    assert lse.tolist() == total.tolist() == [-torch.inf] * 3
    grads = torch.autograd.grad(lse.sum() + total.sum(), (x, y, *w))
    assert [g.shape for g in grads] == [t.shape for t in (x, y, *w)]
    assert not any(bool(g.any()) for g in grads)


def test_rows_without_dimensions(backend: str) -> None:
    """All products are 0; the weights remain."""
    x, labels = torch.zeros(4, 0, dtype=torch.float64), torch.tensor([[0, 1, 1, 2]], dtype=torch.int32)
    close(label_contrast(x, x, labels, scale=1.0), torch.tensor([3.0, 2, 2, 3], dtype=torch.float64).log(), 1e-14)
    w = network(4, 4, 3, 1)
    lse, total = network_contrast(x, x, w, scale=1.0, totals=True)
    close(lse.detach(), total.detach(), 1e-14)


def test_nan_reaches_its_row_alone(backend: str) -> None:
    x, y = numbers(30, 3, seed=1).detach(), numbers(30, 3, seed=2).detach()
    x[4, 1] = torch.nan
    labels, w = clusterings(30, (9,), 3), network(30, 30, 3, 4)
    for lse in (label_contrast(x, y, labels, scale=1.0), network_contrast(x, y, w, scale=1.0)[0]):
        assert lse.isnan().nonzero().tolist() == [[4]]
    w.p.data[7] = torch.nan
    assert network_contrast(x, y, w, scale=1.0)[0].isnan().nonzero().tolist() == [[4], [7]]


@pytest.mark.parametrize(("n", "m", "hidden"), [(1, 1, 1), (3, 700, 16), (260, 33, 5)])
@pytest.mark.parametrize("factor", [1.0, 40.0])
@pytest.mark.parametrize(("dtype", "tol"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_moments(n: int, m: int, hidden: int, factor: float, dtype: torch.dtype, tol: float, backend: str) -> None:
    w = network(n, m, hidden, 6, dtype=dtype, factor=factor)
    p, q, v, bias = (t.detach().double() for t in w)
    weight = torch.sigmoid(torch.tanh(p.unsqueeze(1) + q) @ v + bias)
    wanted = (weight.mean(), weight.std(correction=0), weight.min(), weight.max())
    assert network_moments(w) == pytest.approx([float(number) for number in wanted], abs=tol)


def test_spread_of_nearly_equal_weights(backend: str) -> None:
    """A plain difference of squares in float32 would lose a spread of 1e-5."""
    w = network(100, 120, 4, 1, dtype=torch.float32)
    w.v.data *= 1e-4
    p, q, v, bias = (t.detach().double() for t in w)
    spread = float(torch.sigmoid(torch.tanh(p.unsqueeze(1) + q) @ v + bias).std(correction=0))
    assert spread < 1e-4
    assert network_moments(w)[1] == pytest.approx(spread, rel=1e-2)


def test_registration_and_second_derivatives(backend: str) -> None:
    x, y, w = numbers(6, 3, seed=1), numbers(6, 3, seed=2), network(6, 6, 3, 3)
    labels = clusterings(6, (3, 6), 3)
    checks = ("test_schema", "test_faketensor", "test_autograd_registration")
    torch.library.opcheck(OPS.label_contrast, (x, y, labels, 2.0, 4), test_utils=checks)
    torch.library.opcheck(OPS.network_contrast, (x, y, *w, 2.0, True, 4), test_utils=checks)
    torch.library.opcheck(OPS.network_moments, (*(t.detach() for t in w), 0.5), test_utils=checks[:2])
    for out in (label_contrast(x, y, labels, scale=2.0), network_contrast(x, y, w, scale=2.0)[0]):
        (grad,) = torch.autograd.grad(out.sum(), x, create_graph=True)
        with pytest.raises(GraphrepError, match="Second derivatives"):
            grad.sum().backward()


def test_every_form_is_registered() -> None:
    names = ("label_contrast", "label_contrast_backward", "network_contrast", "network_contrast_backward")
    assert all(implementations()[name] == ("reference", "cpu", "cuda") for name in (*names, "network_moments"))


def test_the_form_for_other_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiles that CUDA tensors take, in float32, against the definition."""
    monkeypatch.setenv("GRAPHREP_BACKEND", "cuda")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    a, b = (numbers(50, 3, seed=k, dtype=torch.float32) for k in (1, 2))
    w = network(50, 50, 4, 3, dtype=torch.float32)
    labels = clusterings(50, (4, 9), 3)
    compare((label_contrast(a, b, labels, scale=2.0, block_size=7),), (dense_labels(a, b, labels, 2.0),), (a, b), 1e-5)
    found = network_contrast(a, b, w, scale=2.0, totals=True, block_size=7)
    compare(found, dense_network(a, b, w, 2.0), (a, b, *w), 1e-5)


DIGEST = """
    import hashlib, sys, torch
    from test_weighted import clusterings, network, numbers
    from graphrep.kernels.weighted import label_contrast, network_contrast, network_moments

    x, y = (numbers(700, 20, seed=k, dtype=torch.float32) for k in (1, 2))
    labels, w = clusterings(700, (9, 40), 3), network(700, 700, 7, 4, dtype=torch.float32)
    for threads in (1, 2, 4):
        torch.set_num_threads(threads)
        lse, total = network_contrast(x, y, w, scale=0.5, totals=True)
        loss = label_contrast(x, y, labels, scale=0.5).sum() + (lse - total).square().sum()
        found = [lse, total, *torch.autograd.grad(loss, (x, y, *w))]
        text = b"".join(t.detach().numpy().tobytes() for t in found) + repr(network_moments(w)).encode()
        print(hashlib.sha256(text).hexdigest())
"""


def test_same_bytes_for_any_number_of_threads() -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(DIGEST)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path]),
            "NUMBA_NUM_THREADS": "4",
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(done.stdout.split()) == 3
    assert len(set(done.stdout.split())) == 1


PEAK = """
    import resource, torch
    from graphrep.kernels.weighted import NetworkWeights, label_contrast, network_contrast, network_moments
    torch.set_num_threads(1)

    def step(count):
        x, y = (torch.randn(count, 8, requires_grad=True) for _ in range(2))
        labels = (torch.arange(2 * count).view(2, count) % 7).int()
        sizes = ((count, 16), (count, 16), (16,), (1,))
        w = NetworkWeights(*(torch.randn(s, requires_grad=True) for s in sizes))
        lse, total = network_contrast(x, y, w, scale=1.0, totals=True)
        (label_contrast(x, y, labels, scale=1.0).sum() + lse.sum() - total.sum()).backward()
        network_moments(w)
        assert x.grad.isfinite().all() and w.p.grad.isfinite().all()

    step(300)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step(4000)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak resident set as Linux reports it")
def test_no_array_of_all_pairs() -> None:
    """4,000 rows: N x N would be 64 MB in float32, and N x N x 16 a thousand."""
    assert peak_bytes(PEAK) < 25e6
