"""gat_aggregate: golden values, a dense reference, long rows, special numbers, gradients of both orders, memory."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import close, random_csr
from torch import Tensor

from graphrep.errors import DTypeError, ShapeError
from graphrep.kernels import CSR
from graphrep.kernels.gat import gat_aggregate

Golden = Callable[[str], dict[str, Tensor]]
Inputs = tuple[Tensor, Tensor, Tensor]


def dense_reference(csr: CSR, x: Tensor, el: Tensor, er: Tensor, slope: float = 0.2) -> Tensor:
    """Row by row in float64, as the formula says."""
    rows = []
    for i in range(csr.num_rows):
        source = csr.col[int(csr.rowptr[i]) : int(csr.rowptr[i + 1])].long()
        logits = torch.nn.functional.leaky_relu(el.double()[source] + er.double()[i], slope)
        alpha = torch.where((logits == -torch.inf).all(0), torch.zeros_like(logits), logits.softmax(0))
        rows.append((alpha.unsqueeze(-1) * x.double()[source]).sum(0))
    return torch.stack(rows) if rows else x.new_zeros(0, *x.shape[1:], dtype=torch.float64)


def inputs(csr: CSR, heads: int, width: int, *, seed: int = 0, dtype: torch.dtype = torch.float64) -> Inputs:
    generator = torch.Generator().manual_seed(seed)
    shapes = ((csr.num_cols, heads, width), (csr.num_cols, heads), (csr.num_rows, heads))
    x, el, er = (torch.randn(s, generator=generator, dtype=torch.float64).to(dtype).requires_grad_() for s in shapes)
    return x, el, er


# values


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", ["gat_fused_h1", "gat_fused_h4"])
def test_golden(name: str, dtype: torch.dtype, backend: str, golden: Golden) -> None:
    g = golden(name)
    csr = CSR.from_edge_index(torch.stack([g["src"], g["dst"]]), size=(int(g["n_src"]), int(g["n_dst"])))
    x, el, er = (g[key].to(dtype).requires_grad_() for key in ("x", "el", "er"))
    out = gat_aggregate(csr, x, el, er, negative_slope=float(g["negative_slope"]))
    close(out.detach(), g["out"], 1e-12 if dtype == torch.float64 else 2e-6)
    grads = torch.autograd.grad(out, (x, el, er), g["grad_out"].to(dtype))
    for grad, key in zip(grads, ("grad_x", "grad_el", "grad_er"), strict=True):
        close(grad, g[key], 1e-10 if dtype == torch.float64 else 1e-5)


@pytest.mark.parametrize(
    ("heads", "width"), [(1, 1), (1, 16), (1, 65), (2, 8), (3, 7), (4, 16), (5, 20), (8, 8), (16, 4), (17, 3), (33, 2)]
)
def test_every_shape_of_heads(heads: int, width: int, backend: str) -> None:
    csr = random_csr(20, 15, 150, seed=heads)
    arguments = inputs(csr, heads, width, seed=width)
    out, wanted = gat_aggregate(csr, *arguments), dense_reference(csr, *arguments)
    close(out.detach(), wanted.detach(), 1e-12)
    cotangent = torch.randn(out.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = torch.autograd.grad(out, arguments, cotangent)
    for a, b in zip(found, torch.autograd.grad(wanted, arguments, cotangent), strict=True):
        close(a, b, 1e-11)
    with torch.no_grad():
        assert torch.equal(gat_aggregate(csr, *arguments), out)


@pytest.mark.parametrize("count", [1, 15, 16, 17, 511, 512, 513, 1500, 5000])
def test_long_rows_and_columns(count: int, backend: str) -> None:
    """One row of `count` entries among short ones, and its transpose.

    float32: up to 512 numbers are added one after another, here many of them equal, so that roundings do not cancel.
    """
    other = torch.randint(0, 40, (2, 90), generator=torch.Generator().manual_seed(0))
    hub = torch.stack([torch.arange(count) % 40, torch.full((count,), 7)])
    edges = torch.cat([other, hub], dim=1)
    for flipped in (edges, edges.flip(0)):
        csr = CSR.from_edge_index(flipped, size=(40, 40))
        x, el, er = (t.detach().float().requires_grad_() for t in inputs(csr, 2, 20))
        out, wanted = gat_aggregate(csr, x, el, er), dense_reference(csr, x, el, er)
        close(out.detach(), wanted.detach(), 5e-6)
        found = torch.autograd.grad(out.sum(), (x, el, er))
        for a, b in zip(found, torch.autograd.grad(wanted.sum(), (x, el, er)), strict=True):
            close(a, b, 2e-5)


@settings(max_examples=25, deadline=None)
@given(
    num_dst=st.sampled_from([0, 1, 2, 9]),
    num_src=st.sampled_from([1, 2, 9]),
    num_edges=st.sampled_from([0, 1, 2, 63, 257]),
    slope=st.sampled_from([0.0, 0.2, 1.0, -0.5]),
    seed=st.integers(0, 99),
)
def test_equals_the_formula(num_dst: int, num_src: int, num_edges: int, slope: float, seed: int) -> None:
    csr = random_csr(num_dst, num_src, num_edges if num_dst else 0, seed=seed)
    arguments = inputs(csr, 3, 5, seed=seed)
    out, wanted = gat_aggregate(csr, *arguments, negative_slope=slope), dense_reference(csr, *arguments, slope)
    close(out.detach(), wanted.detach(), 1e-12)
    if num_dst:
        found = torch.autograd.grad(out.square().sum(), arguments)
        for a, b in zip(found, torch.autograd.grad(wanted.square().sum(), arguments), strict=True):
            close(a, b, 1e-11)


@given(seed=st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_the_order_of_edges_and_nodes_does_not_matter(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(0, 12, (2, 60), generator=generator)
    x, el, er = (t.detach() for t in inputs(CSR.from_edge_index(edges, size=(12, 12)), 2, 6, seed=seed))
    out = gat_aggregate(CSR.from_edge_index(edges, size=(12, 12)), x, el, er)
    shuffled = edges[:, torch.randperm(60, generator=generator)]
    close(gat_aggregate(CSR.from_edge_index(shuffled, size=(12, 12)), x, el, er), out, 1e-13)
    order = torch.randperm(12, generator=generator)
    place = torch.argsort(order)
    renamed = CSR.from_edge_index(place[edges], size=(12, 12))
    close(gat_aggregate(renamed, x[order], el[order], er[order]), out[order], 1e-13)


def test_a_constant_added_to_positive_logits_changes_nothing(backend: str) -> None:
    """Softmax ignores shifts; where every logit is on one side of the leaky ReLU, so does attention."""
    csr = random_csr(10, 10, 60)
    x, el, er = (t.detach() for t in inputs(csr, 2, 4))
    el, er = el.abs() + 1, er.abs()
    close(gat_aggregate(csr, x, el, er + 7), gat_aggregate(csr, x, el, er), 1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_types_round_once(dtype: torch.dtype, backend: str) -> None:
    """Weights are positive and sum to 1, so the sum is good to one rounding of the largest message."""
    csr = random_csr(6, 30, 900)
    x, el, er = inputs(csr, 2, 16, dtype=dtype)
    out = gat_aggregate(csr, x, el, er)
    wanted = dense_reference(csr, x, el, er)
    assert out.dtype == dtype
    assert ((out.double() - wanted).abs() <= wanted.abs() * torch.finfo(dtype).eps + 1e-5).all()
    for grad, like in zip(torch.autograd.grad(out.sum(), (x, el, er)), (x, el, er), strict=True):
        assert grad.dtype == dtype
        assert grad.shape == like.shape
    mixed = gat_aggregate(csr, x, el.float(), er.float())  # autocast leaves logits in float32
    assert torch.equal(mixed, out)


# special numbers


def test_rows_of_minus_infinity_give_zero(backend: str) -> None:
    csr = CSR(torch.tensor([0, 2, 4, 4]), torch.tensor([0, 1, 1, 2]))
    x = torch.ones(3, 1, 2, requires_grad=True)
    el = torch.tensor([[-torch.inf], [-torch.inf], [0.0]], requires_grad=True)
    out = gat_aggregate(csr, x, el, torch.zeros(3, 1, requires_grad=True))
    assert out.detach().flatten().tolist() == [0, 0, 1, 1, 0, 0]
    grads = torch.autograd.grad(out.sum(), (x, el))
    assert grads[0].flatten().tolist() == [0, 0, 0, 0, 1, 1]


def test_infinity_and_nan_spoil_their_row_and_head_only(backend: str) -> None:
    csr = CSR(torch.tensor([0, 2, 4, 6]), torch.tensor([0, 1, 2, 1, 1, 1]))
    el = torch.zeros(3, 2)
    el[0, 0], el[2, 1] = torch.nan, torch.inf
    out = gat_aggregate(csr, torch.ones(3, 2, 1), el, torch.zeros(3, 2))
    assert out[..., 0].isnan().tolist() == [[True, False], [False, True], [False, False]]


def test_large_logits_do_not_overflow(backend: str) -> None:
    csr = random_csr(5, 5, 40)
    x, el, er = (t.detach().float() for t in inputs(csr, 2, 3))
    out = gat_aggregate(csr, x, 1000 * el, 1000 * er)
    close(out, dense_reference(csr, x, 1000 * el, 1000 * er), 1e-4)  # logits of 3000 are good to 1e-4 in float32


# gradients


@pytest.mark.parametrize(
    "wanted", [(True, True, True), (True, False, False), (False, True, False), (False, False, True)]
)
def test_gradcheck(wanted: tuple[bool, ...], backend: str) -> None:
    csr = random_csr(4, 3, 9)
    arguments = [t.detach().requires_grad_(need) for t, need in zip(inputs(csr, 2, 3), wanted, strict=True)]
    assert torch.autograd.gradcheck(lambda *a: gat_aggregate(csr, *a), arguments)
    assert torch.autograd.gradgradcheck(lambda *a: gat_aggregate(csr, *a), arguments)


def test_double_backward_when_logits_come_from_the_features(backend: str) -> None:
    """`el` is usually a function of `x`, and its part must not be counted twice."""
    csr = random_csr(4, 4, 9)
    x, weight, _ = inputs(csr, 2, 3)

    def layer(x: Tensor) -> Tensor:
        el = (x * x).sum(-1)
        return gat_aggregate(csr, x, el, el.cos() * weight.detach())

    assert torch.autograd.gradcheck(layer, (x,))
    assert torch.autograd.gradgradcheck(layer, (x,))


def test_opcheck() -> None:
    csr = random_csr(4, 5, 9)
    t = csr.pattern_t()
    x, el, er = inputs(csr, 2, 3)
    layout = (csr.rowptr, csr.col), (t.rowptr, t.col, csr.t_perm())
    torch.library.opcheck(torch.ops.graphrep.gat, (*layout[0], x, el, er, 0.2, True, *layout[1]))
    with torch.no_grad():
        out, lse, rest = torch.ops.graphrep.gat(*layout[0], x, el, er, 0.2, True, *layout[1])
        plain = (x.detach(), el.detach(), er.detach())
        torch.library.opcheck(
            torch.ops.graphrep.gat_backward, (t.rowptr, t.col, *plain, lse, rest, out, torch.ones_like(out), 0.2)
        )


def test_compiles_as_one_graph() -> None:
    csr = random_csr(6, 6, 20)
    csr.t()
    arguments = inputs(csr, 2, 4)
    compiled = torch.compile(lambda *a: gat_aggregate(csr, *a).square().sum(), backend="aot_eager", fullgraph=True)
    found = torch.autograd.grad(compiled(*arguments), arguments)
    wanted = torch.autograd.grad(gat_aggregate(csr, *arguments).square().sum(), arguments)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b)


# threads, memory, errors, peers


def test_same_bytes_for_any_number_of_threads() -> None:
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(0, 900, (2, 9000), generator=generator)
    edges[1, :3000] = 7
    csr = CSR.from_edge_index(edges, size=(900, 900))
    arguments = tuple(t.detach().float().requires_grad_() for t in inputs(csr, 4, 16))
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            out = gat_aggregate(csr, *arguments)
            results.append([out.detach(), *torch.autograd.grad(out, arguments, out.detach().cos())])
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_no_array_of_messages() -> None:
    """E x d would be 205 MB and E x H 26 MB; forward and backward together stay below 16 MB."""
    code = """
        import resource, torch
        torch.set_num_threads(1)
        from graphrep.kernels import CSR
        from graphrep.kernels.gat import gat_aggregate
        def layer(num_edges):
            edges = torch.randint(0, 1000, (2, num_edges), generator=torch.Generator().manual_seed(0))
            csr = CSR.from_edge_index(edges, size=(1000, 1000))
            csr.t()
            x, el, er = (torch.randn(s, requires_grad=True) for s in ((1000, 8, 8), (1000, 8), (1000, 8)))
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            gat_aggregate(csr, x, el, er).sum().backward()
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        layer(100)
        print(layer(800_000))
    """
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=300, cwd=here
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 16 * 1024  # kilobytes


@pytest.mark.parametrize(
    ("position", "shape", "named"),
    [(0, (5, 2), "x has shape"), (1, (4, 2), "el has shape"), (2, (4, 1), "er has shape")],
)
def test_wrong_shapes_are_named(position: int, shape: tuple[int, ...], named: str) -> None:
    arguments = [torch.zeros(5, 2, 3), torch.zeros(5, 2), torch.zeros(4, 2)]
    arguments[position] = torch.zeros(shape)
    with pytest.raises(ShapeError, match=named):
        gat_aggregate(random_csr(4, 5, 9), *arguments)


def test_integer_features_are_refused() -> None:
    with pytest.raises(DTypeError, match="x must hold"):
        gat_aggregate(random_csr(4, 5, 9), torch.zeros(5, 2, 3).long(), torch.zeros(5, 2), torch.zeros(4, 2))


def test_against_dgl() -> None:
    dgl = pytest.importorskip("dgl")
    from dgl.nn.functional import edge_softmax

    csr = random_csr(30, 30, 200)
    arguments = inputs(csr, 4, 16)
    x, el, er = arguments
    graph = dgl.graph((csr.col.long(), csr.row().long()), num_nodes=30)
    logits = dgl.ops.u_add_v(graph, el.unsqueeze(-1), er.unsqueeze(-1))
    theirs = dgl.ops.u_mul_e_sum(graph, x, edge_softmax(graph, torch.nn.functional.leaky_relu(logits, 0.2)))
    ours = gat_aggregate(csr, *arguments)
    close(ours.detach(), theirs.detach(), 1e-12)
    found, wanted = (torch.autograd.grad(out.square().sum(), arguments) for out in (ours, theirs))
    for a, b in zip(found, wanted, strict=True):
        close(a, b, 1e-11)
