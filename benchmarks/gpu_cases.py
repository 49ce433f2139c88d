"""What is timed on a GPU: operators on three graphs, the bytes and FLOP they cannot do without, and their rivals.

Bytes are those of a perfect cache: every row that is referenced is read once, results are written once, and indices
are read once. A gather that misses the cache reads more, so a share of 100 % cannot be expected on large graphs.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu_rivals import CONTRAST, DOTS, TEMPERATURE, Inputs, gat, products, segments, softmax, with_gradients
from benchmarks.graphs import load_graph, rmat
from benchmarks.registry import Method
from graphrep.kernels import CSR, edge_softmax, sddmm, segment_reduce, spmm
from graphrep.kernels.gat import gat_aggregate
from graphrep.objectives import info_nce

__all__ = ["GpuCase", "GpuGraph", "cases", "gpu_graph"]

Run = Callable[["GpuGraph", Inputs], Any]


class GpuGraph:
    """One graph on the device in the formats that the methods take, each built once."""

    def __init__(self, key: str, device: torch.device) -> None:
        host = rmat(40, 200, name="rmat-40") if key == DRY else load_graph(key)
        self.facts, self.device = host.facts(), device
        rowptr, col = torch.from_numpy(host.rowptr), torch.from_numpy(host.col)
        self.num_nodes, self.nnz = host.num_nodes, host.nnz
        self.referenced = int(col.unique().numel())
        self.csr = CSR(rowptr, col, num_cols=host.num_nodes).to(device)
        self.csr.t()
        self.weight = (torch.rand(self.nnz, generator=torch.Generator().manual_seed(2)) + 0.1).to(device)

    @functools.cached_property
    def row(self) -> Tensor:
        return self.csr.row().long()

    @functools.cached_property
    def col(self) -> Tensor:
        return self.csr.col.long()

    @functools.cached_property
    def rowptr(self) -> Tensor:
        return self.csr.rowptr.long()

    @functools.lru_cache(maxsize=2)  # noqa: B019 - lives as long as the graph
    def matrix(self, weighted: bool, dtype: torch.dtype) -> Tensor:
        """A torch sparse CSR matrix with the weights, or ones."""
        size = (self.num_nodes, self.num_nodes)
        value = self.weight.to(dtype) if weighted else torch.ones(self.nnz, dtype=dtype, device=self.device)
        return torch.sparse_csr_tensor(self.csr.rowptr, self.csr.col, value, size=size, check_invariants=False)


@functools.lru_cache(maxsize=1)
def gpu_graph(key: str, device: torch.device) -> GpuGraph:
    """The graph of that name; only the latest is kept."""
    return GpuGraph(key, device)


@dataclass(frozen=True)
class GpuCase:
    """One line of the result file.

    Attributes:
        name: unique.
        graph: key of :data:`benchmarks.graphs.GRAPHS`.
        shapes: name -> shape behind the first axis, for inputs with one row per node (or entry: names that end in _e).
        rows: rows of the inputs where they are not the graph's nodes.
        dtype: of the inputs.
        ours: takes the graph and the inputs, returns a list of results.
        rivals: methods whose `prepare` takes the pair of both.
        expected: the same in float64, for the results that :attr:`compared` picks.
        compared: picks the part of the results that is compared, such as some columns.
        tolerance: largest error over largest value; nothing is timed above it.
        traffic: bytes and FLOP of the case on a graph.
        engine: which matrix product bounds the FLOP.
        params: what tables group by.
    """

    name: str
    graph: str
    shapes: Mapping[str, tuple[int, ...]]
    dtype: torch.dtype
    ours: Run
    rivals: Mapping[str, Method]
    expected: Run
    compared: Callable[[GpuGraph, Any], list[Tensor]]
    tolerance: float
    traffic: Callable[[GpuGraph], tuple[float, float]]
    engine: str = "float32"
    rows: int | None = None
    params: Mapping[str, Any] = field(default_factory=dict)

    def inputs(self, graph: GpuGraph, seed: int) -> Inputs:
        """Random numbers, another set for each seed."""
        generator = torch.Generator(graph.device).manual_seed(seed)
        count = {True: graph.nnz, False: self.rows or graph.num_nodes}
        return {
            name: torch.randn(
                count[name.endswith("_e")], *shape, generator=generator, device=graph.device, dtype=self.dtype
            )
            for name, shape in self.shapes.items()
        }


TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 3e-2}  # float32: sums over hubs of 25,000 entries
COLUMNS = 4  # columns that are compared with float64; the others follow the same code
SAMPLE, DENSE = 100_000, 20_000  # dot products that are compared; most pairs whose N x N matrices are built
DRY = "dry"  # a graph for the interpreter
GRAPHS = ("pubmed", "rmat-200k", "rmat-1m")


def _product(graph: str, width: int, dtype: torch.dtype, reduce: Any, weighted: bool, backward: bool) -> GpuCase:
    def run(forms: GpuGraph, inputs: Inputs, cut: slice = slice(None), wide: bool = False) -> list[Tensor]:
        inputs = {n: t[:, cut].double() if wide else t for n, t in inputs.items()}
        csr = forms.csr.with_value(forms.weight if weighted else None)
        if backward:
            return with_gradients(lambda leaves: spmm(csr, leaves["x"], reduce=reduce), inputs, ("x",))
        return [spmm(csr, inputs["x"], reduce=reduce)]

    def traffic(forms: GpuGraph) -> tuple[float, float]:
        rows, item = forms.num_nodes, dtype.itemsize
        one = (forms.referenced + rows) * width * item + 4 * forms.nnz * (2 if weighted else 1) + 8 * rows
        more = 4 * rows * width if reduce == "max" and backward else 0  # the winning entries, written and read
        return (2 if backward else 1) * (one + more), (4 if backward else 2) * forms.nnz * width

    label = f"{reduce}{' weighted' if weighted else ''}{' fwd+bwd' if backward else ''}"
    return GpuCase(
        name=f"spmm/{graph}/{_short(dtype)}/d{width}/{label}",
        graph=graph,
        shapes={"x": (width,), "g": (width,)} if backward else {"x": (width,)},
        dtype=dtype,
        ours=run,
        rivals=products(reduce, weighted=weighted, backward=backward),
        expected=functools.partial(run, cut=slice(0, COLUMNS), wide=True),
        compared=lambda _, results: [t[:, :COLUMNS] for t in results],
        tolerance=TOLERANCE[dtype],
        traffic=traffic,
        params={"op": "spmm", "reduce": reduce, "weighted": weighted, "backward": backward, "width": width},
    )


def _segments(graph: str, width: int, reduce: Any) -> GpuCase:
    def run(forms: GpuGraph, inputs: Inputs, wide: bool = False) -> list[Tensor]:
        src = inputs["x_e"][:, :COLUMNS].double() if wide else inputs["x_e"]
        return [segment_reduce(src, forms.csr.rowptr, reduce=reduce)]

    return GpuCase(
        name=f"segment_reduce/{graph}/f32/d{width}/{reduce}",
        graph=graph,
        shapes={"x_e": (width,)},
        dtype=torch.float32,
        ours=run,
        rivals=segments(reduce),
        expected=functools.partial(run, wide=True),
        compared=lambda _, results: [t[:, :COLUMNS] for t in results],
        tolerance=TOLERANCE[torch.float32],
        traffic=lambda f: (4 * width * (f.nnz + f.num_nodes) + 8 * f.num_nodes, f.nnz * width),
        params={"op": "segment_reduce", "reduce": reduce, "width": width},
    )


def _dots(graph: str, heads: int, width: int, dtype: torch.dtype) -> GpuCase:
    def expected(forms: GpuGraph, inputs: Inputs) -> list[Tensor]:
        row, col = forms.row[:SAMPLE], forms.col[:SAMPLE]
        return [(inputs["q"][row].double() * inputs["k"][col].double()).sum(-1)]

    def traffic(forms: GpuGraph) -> tuple[float, float]:
        rows = (forms.num_nodes + forms.referenced) * heads * width * dtype.itemsize
        return rows + (4 + heads * dtype.itemsize) * forms.nnz, 2 * forms.nnz * heads * width

    return GpuCase(
        name=f"sddmm/{graph}/{_short(dtype)}/H{heads}/d{width}",
        graph=graph,
        shapes={"q": (heads, width), "k": (heads, width)},
        dtype=dtype,
        ours=lambda forms, inputs: [sddmm(forms.csr, inputs["q"], inputs["k"])],
        rivals=DOTS,
        expected=expected,
        compared=lambda _, results: [t[:SAMPLE] for t in results],
        tolerance=TOLERANCE[dtype],
        traffic=traffic,
        params={"op": "sddmm", "heads": heads, "width": width},
    )


def _softmax(graph: str, heads: int, backward: bool) -> GpuCase:
    def run(forms: GpuGraph, inputs: Inputs, wide: bool = False) -> list[Tensor]:
        inputs = {n: t.double() for n, t in inputs.items()} if wide else inputs
        if backward:
            return with_gradients(lambda v: edge_softmax(forms.csr, v["x_e"]), inputs, ("x_e",), cotangent="g_e")
        return [edge_softmax(forms.csr, inputs["x_e"])]

    return GpuCase(
        name=f"edge_softmax/{graph}/f32/H{heads}/{'fwd+bwd' if backward else 'fwd'}",
        graph=graph,
        shapes={"x_e": (heads,), "g_e": (heads,)} if backward else {"x_e": (heads,)},
        dtype=torch.float32,
        ours=run,
        rivals=softmax(backward),
        expected=functools.partial(run, wide=True),
        compared=lambda _, results: results,
        tolerance=TOLERANCE[torch.float32],
        traffic=lambda f: ((5 if backward else 2) * 4 * heads * f.nnz + 12 * f.num_nodes, 6 * heads * f.nnz),
        params={"op": "edge_softmax", "heads": heads, "backward": backward},
    )


def _gat(graph: str, heads: int, width: int, backward: bool) -> GpuCase:
    names = ("x", "left", "right")

    def run(forms: GpuGraph, inputs: Inputs, wide: bool = False) -> list[Tensor]:
        if wide:  # columns of x do not mix, so some stand for all; those of the left and right terms are left out
            inputs = {n: (t[:, :, :COLUMNS] if t.dim() == 3 else t).double() for n, t in inputs.items()}
        if backward:
            return with_gradients(lambda v: gat_aggregate(forms.csr, *(v[n] for n in names)), inputs, names)
        return [gat_aggregate(forms.csr, *(inputs[n] for n in names))]

    def traffic(forms: GpuGraph) -> tuple[float, float]:
        one = (forms.num_nodes + forms.referenced) * heads * (width + 1) * 4 + 4 * forms.nnz + 8 * forms.num_nodes
        return (3 if backward else 1) * one, (6 if backward else 2) * forms.nnz * heads * (width + 3)

    shapes = {"x": (heads, width), "left": (heads,), "right": (heads,)}
    return GpuCase(
        name=f"gat_aggregate/{graph}/f32/H{heads}/d{width}/{'fwd+bwd' if backward else 'fwd'}",
        graph=graph,
        shapes={**shapes, "g": (heads, width)} if backward else shapes,
        dtype=torch.float32,
        ours=run,
        rivals=gat(backward),
        expected=functools.partial(run, wide=True),
        compared=lambda _, results: [t[:, :, :COLUMNS] for t in results[:2]],
        tolerance=TOLERANCE[torch.float32],
        traffic=traffic,
        params={"op": "gat_aggregate", "heads": heads, "width": width, "backward": backward},
    )


def _contrast(count: int, width: int, dtype: torch.dtype) -> GpuCase:
    """Loss and gradients of `count` pairs; the graph lends only its device."""

    def run(_: GpuGraph, inputs: Inputs, wide: bool = False) -> list[Tensor]:
        inputs = {n: t.double() for n, t in inputs.items()} if wide else inputs
        return with_gradients(lambda v: info_nce(v["u"], v["v"], temperature=TEMPERATURE), inputs, ("u", "v"))

    return GpuCase(
        name=f"info_nce/N{count}/{_short(dtype)}/d{width}",
        graph=DRY,
        rows=count,
        shapes={"u": (width,), "v": (width,)},
        dtype=dtype,
        ours=run,
        rivals=CONTRAST if count <= DENSE else {},
        expected=functools.partial(run, wide=True),
        compared=lambda _, results: [results[0], *(t * count for t in results[1:])],
        tolerance=TOLERANCE[dtype],
        traffic=lambda _: (8 * count * width * dtype.itemsize, 16 * count**2 * width),
        engine="bfloat16" if dtype == torch.bfloat16 else "float32",
        params={"op": "info_nce", "count": count, "width": width},
    )


def cases(size: str) -> list[GpuCase]:
    """All cases: "full", or "tiny" for trying the program."""
    if size == "tiny":
        single = _product(DRY, 16, torch.float32, "sum", True, True)
        return [
            single, _segments(DRY, 4, "mean"), _dots(DRY, 2, 8, torch.float32), _softmax(DRY, 2, False),
            _gat(DRY, 2, 8, False), _contrast(40, 16, torch.float32),
        ]  # fmt: skip
    pairs = itertools.product((2708, 20_000, 100_000), (torch.float32, torch.bfloat16))
    return [c for g in GRAPHS for c in _on_graph(g)] + [_contrast(count, 128, dtype) for count, dtype in pairs]


def _on_graph(graph: str) -> list[GpuCase]:
    types, both = (torch.float32, torch.bfloat16), (False, True)
    kinds = (("sum", False), ("sum", True), ("mean", False), ("max", False))
    return [
        *(
            _product(graph, width, dtype, reduce, weighted, backward)
            for width, dtype, (reduce, weighted), backward in itertools.product((64, 256), types, kinds, both)
        ),
        *(_segments(graph, 16, reduce) for reduce in ("sum", "mean", "max")),
        *(_dots(graph, *shape, dtype) for shape, dtype in itertools.product(((1, 64), (4, 64)), types)),
        *(_softmax(graph, 4, backward) for backward in both),
        *(_gat(graph, 4, 64, backward) for backward in both),
    ]


def _short(dtype: torch.dtype) -> str:
    return {torch.float32: "f32", torch.bfloat16: "bf16"}[dtype]
