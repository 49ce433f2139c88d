"""Neighbour samples: one hop of 10 out of 100,000 rows, and two-hop mini-batches of 1024 nodes.

Samples are random: checked are the counts (min(degree, 10) per row, each entry of the right row, none twice) and,
between methods, the mean logarithm of the degrees sampled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.families.forms import GraphForms, graph_forms
from benchmarks.families.spmm import GRAPH_OF_SIZE
from benchmarks.registry import Case, Method, Skip

__all__ = ["cases"]

FANOUT, NUM_BATCHES, BATCH = 10, 20, 1024
OPS = ("one-hop", "two-hop-batches")


@dataclass(frozen=True)
class SampleInputs:
    """seeds: different rows with entries; for batches (20, 1024) or fewer."""

    forms: GraphForms
    seeds: Tensor
    op: str


def _inputs(graph: str, op: str) -> SampleInputs:
    forms = graph_forms(graph)
    used = forms.has_entries.nonzero().squeeze(1)
    order = used[torch.randperm(used.numel(), generator=torch.Generator().manual_seed(14))]
    if op == "one-hop":
        return SampleInputs(forms, order[:100_000], op)
    batch = min(BATCH, order.numel())
    count = min(NUM_BATCHES, order.numel() // batch)
    return SampleInputs(forms, order[: count * batch].reshape(count, batch), op)


def _ours(inputs: SampleInputs) -> Callable[[], Any]:
    from graphrep.kernels import sample_neighbors

    csr = inputs.forms.csr(False)
    if inputs.op == "one-hop":

        def one_hop() -> tuple[Tensor, Tensor]:
            sample = sample_neighbors(csr, inputs.seeds, FANOUT, seed=0)
            return inputs.seeds[sample.row().long()], sample.col

        return one_hop
    return _batches(inputs)


def _batches(inputs: SampleInputs) -> Callable[[], Any]:
    """Edges of all batches as (row, column) in ids of the graph."""
    from torch_geometric.data import Data
    from torch_geometric.sampler import NodeSamplerInput

    from graphrep.nn import NumbaSampler

    edges = torch.stack([inputs.forms.col_long, inputs.forms.row_long])
    sampler = NumbaSampler(Data(edge_index=edges, num_nodes=inputs.forms.num_nodes), [FANOUT, FANOUT], seed=0)

    def run() -> tuple[Tensor, Tensor]:
        found = [sampler.sample_from_nodes(NodeSamplerInput(None, nodes)) for nodes in inputs.seeds]
        return tuple(torch.cat([f.node[getattr(f, side)] for f in found]) for side in ("col", "row"))  # type: ignore[return-value]

    return run


def _dgl(inputs: SampleInputs) -> Callable[[], Any]:
    import dgl

    graph = inputs.forms.dgl_graph.long()
    graph.create_formats_()
    if inputs.op == "one-hop":

        def one_hop() -> tuple[Tensor, Tensor]:
            col, row = dgl.sampling.sample_neighbors(graph, inputs.seeds, FANOUT).edges()
            return row, col

        return one_hop
    sampler = dgl.dataloading.NeighborSampler([FANOUT, FANOUT])

    def run() -> tuple[Tensor, Tensor]:
        rows, cols = [], []
        for nodes in inputs.seeds:
            for block in reversed(sampler.sample_blocks(graph, nodes)[2]):
                col, row = block.edges()
                rows.append(block.dstdata[dgl.NID][row])
                cols.append(block.srcdata[dgl.NID][col])
        return torch.cat(rows), torch.cat(cols)

    return run


def _pyg(inputs: SampleInputs) -> Callable[[], Any]:
    raise Skip("PyG's NeighborSampler needs pyg-lib or torch-sparse, which have no wheel for this torch on PyPI")


def _torch(inputs: SampleInputs) -> Callable[[], Any]:
    """Random keys for all entries of the rows, sorted within each row: what fits in a few lines of torch."""
    if inputs.op != "one-hop":
        raise Skip("one hop only")
    rowptr, col, seeds = inputs.forms.rowptr_long, inputs.forms.col, inputs.seeds
    degree = rowptr[seeds + 1] - rowptr[seeds]
    owner = torch.repeat_interleave(torch.arange(seeds.numel()), degree)
    slot = torch.arange(owner.numel()) - (degree.cumsum(0) - degree)[owner]
    place = slot + rowptr[seeds][owner]

    def run() -> tuple[Tensor, Tensor]:
        chosen = (owner + torch.rand(owner.numel(), dtype=torch.float64)).argsort()[slot < FANOUT]
        return seeds[owner[chosen]], col[place[chosen]]

    return run


def _check(inputs: SampleInputs, result: tuple[Tensor, ...]) -> float:
    """One hop: every count and every entry. Batches: entries exist and rows of the first hop have their counts."""
    forms, (row, col) = inputs.forms, result
    key = (forms.row_long * forms.num_nodes + forms.col_long).sort().values
    asked = row.long() * forms.num_nodes + col.long()
    place = torch.searchsorted(key, asked).clamp(max=key.numel() - 1)
    if not bool((key[place] == asked).all()):
        return float("inf")
    if inputs.op != "one-hop":
        return 0.0
    counts = torch.bincount(row.long(), minlength=forms.num_nodes)[inputs.seeds]
    wanted = torch.from_numpy(forms.graph.degree).long().clamp(max=FANOUT)[inputs.seeds]
    return 0.0 if torch.equal(counts, wanted) and asked.unique().numel() == asked.numel() else float("inf")


def _agree(inputs: SampleInputs, ours: tuple[Tensor, ...], theirs: tuple[Tensor, ...]) -> float:
    if _check(inputs, theirs) > 0:
        return float("inf")
    log_degree = torch.from_numpy(inputs.forms.graph.degree).double().clamp(min=1).log()
    first, second = (float(log_degree[result[1].long()].mean()) for result in (ours, theirs))
    return abs(first - second) / first


_RIVALS = {
    "dgl": Method(_dgl, "dgl", "sampling.sample_neighbors, dataloading.NeighborSampler; int64 ids"),
    "torch-sort": Method(_torch, note="random keys sorted within rows; layout prepared outside the timing"),
    "pyg": Method(_pyg, "torch_geometric", "sampler.NeighborSampler"),
}


def _case(size: str, op: str) -> Case:
    graph = GRAPH_OF_SIZE[size]
    return Case(
        name=f"{graph}/{op}",
        family="sampling",
        size=size,
        inputs=lambda: _inputs(graph, op),
        ours=Method(_ours),
        rivals=_RIVALS,
        check=_check,
        agree=_agree,
        tolerance=0.02,  # means over thousands of sampled entries
        params={"graph": graph, "op": op, "fanout": FANOUT},
    )


def cases() -> list[Case]:
    """Both operations on each graph."""
    return [_case(size, op) for size in GRAPH_OF_SIZE for op in OPS]
