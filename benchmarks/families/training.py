"""One full-batch epoch of GRACE: two views, encoder, exact InfoNCE of all nodes, gradients of every weight.

The rival `pyg-dense` is the published program: PyG's convolutions on lists of edges, the logits as N x N arrays. It
draws masks of its own for their cost, and then encodes the views that ours drew, so that the losses can be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import elu, normalize

from benchmarks.families.forms import GraphForms, graph_forms
from benchmarks.reference import all_agree, relative_difference
from benchmarks.registry import Case, Method, Skip

__all__ = ["cases"]

DROP_RATES = (0.4, 0.3)
TEMPERATURE = 0.7
SEED = 31
DENSE_BYTES = 16_000_000_000  # what the dense form may hold
DENSE_ARRAYS = 9  # N x N arrays alive at its peak, as measured on 2,708 nodes
GRAPH_OF_SIZE = {"tiny": "tiny", "small": "cora", "medium": "pubmed", "large": "physics"}
FEATURES = {"tiny": 40, "small": 1433, "medium": 500, "large": 8415}
ENTRIES = {"tiny": 5, "small": 18, "medium": 50, "large": 33}  # of a row of x that are not zero
WIDTHS = {"tiny": 8, "small": 128, "medium": 256, "large": 128}
Result = tuple[Tensor, ...]


@dataclass(frozen=True)
class TrainingInputs:
    """A graph with sparse features, and the module whose weights both methods use."""

    forms: GraphForms
    graph_of_ours: Any
    module: torch.nn.Module
    width: int

    @property
    def graph(self) -> Any:
        """For the facts in the result file."""
        return self.forms.graph


def _features(num_nodes: int, columns: int, entries: int) -> Tensor:
    """(N, F) sparse CSR of ones, at most `entries` to a row; columns of low number are the frequent ones."""
    generator = torch.Generator().manual_seed(21)
    col = (torch.rand(num_nodes, entries, generator=generator) ** 2 * columns).long().sort(1).values
    first = torch.ones_like(col, dtype=torch.bool)
    first[:, 1:] = col[:, 1:] != col[:, :-1]
    rowptr = torch.cat([torch.zeros(1, dtype=torch.long), first.sum(1).cumsum(0)])
    values = torch.ones(int(rowptr[-1]))
    return torch.sparse_csr_tensor(rowptr, col[first], values, size=(num_nodes, columns), check_invariants=False)


def _estimator(width: int) -> Any:
    from graphrep.methods import GRACE

    return GRACE(width, drop_edge_rates=DROP_RATES, temperature=TEMPERATURE, seed=SEED)


def _inputs(size: str) -> TrainingInputs:
    from graphrep.data import Graph

    forms = graph_forms(GRAPH_OF_SIZE[size])
    x = _features(forms.num_nodes, FEATURES[size], min(ENTRIES[size], FEATURES[size]))
    graph = Graph(torch.stack([forms.col_long, forms.row_long]), x=x)
    torch.manual_seed(SEED)
    module = _estimator(WIDTHS[size])._module(FEATURES[size])
    return TrainingInputs(forms, graph, module, WIDTHS[size])


def _graded(module: torch.nn.Module, value: Tensor) -> Result:
    return (value.detach().reshape(1), *torch.autograd.grad(value, list(module.parameters())))


def _ours(inputs: TrainingInputs) -> Callable[[], Result]:
    task = _estimator(inputs.width)._task(inputs.module, inputs.graph_of_ours)

    def run() -> Result:
        generator = torch.Generator().manual_seed(SEED)
        (batch,) = task.batches(0, generator)
        value, _ = task.loss(batch, 0, generator)
        return _graded(inputs.module, value)

    return run


def _dense_loss(a: Tensor, b: Tensor) -> Tensor:
    """The published loss: own-view and other-view similarities of every pair, the own diagonal taken out."""
    a, b = normalize(a), normalize(b)

    def direction(x: Tensor, y: Tensor) -> Tensor:
        own, other = (x @ x.t() / TEMPERATURE).exp(), (x @ y.t() / TEMPERATURE).exp()
        return -(other.diagonal() / (own.sum(1) + other.sum(1) - own.diagonal())).log()

    return ((direction(a, b) + direction(b, a)) / 2).mean()


def _dense(inputs: TrainingInputs) -> Callable[[], Result]:
    from torch_geometric.nn import GCNConv
    from torch_geometric.utils import dropout_edge

    size = DENSE_ARRAYS * 4 * inputs.forms.num_nodes**2
    if size > DENSE_BYTES:
        raise Skip(f"its N x N arrays take {size / 1e9:.0f} GB (limit {DENSE_BYTES / 1e9:.0f} GB)")
    return _dense_run(inputs, inputs.module, GCNConv, dropout_edge, torch.float32)


def _dense_run(
    inputs: TrainingInputs, module: torch.nn.Module, convolution: Any, dropout: Any, dtype: torch.dtype
) -> Callable[[], Result]:
    two: Any = module
    estimator = _estimator(inputs.width)
    source = estimator._source(inputs.module, inputs.graph_of_ours)
    edges, x = source.edge_index, source.x.to_dense().to(dtype)
    generator = torch.Generator().manual_seed(SEED)
    kept = [source.draw(source_rates, generator).keep for source_rates in ((rate, 0.0) for rate in DROP_RATES)]
    views = [edges[:, keep] for keep in kept]
    layers = list(two.encoder.convs)
    stack = [convolution(layer.in_channels, layer.out_channels).to(dtype) for layer in layers]
    for layer, ours in zip(stack, layers, strict=True):
        layer.lin.weight, layer.bias = ours.lin.weight, ours.bias
    head = two.head

    def encode(view: Tensor) -> Tensor:
        out = x
        for layer in stack:
            out = layer(out, view).relu()
        return head.fc2(elu(head.fc1(out)))  # type: ignore[no-any-return]

    def run() -> Result:
        for rate in DROP_RATES:
            dropout(edges, p=rate)
        return _graded(module, _dense_loss(*(encode(view) for view in views)))

    return run


def _check(inputs: TrainingInputs, result: Result) -> float:
    """The dense program in float64 on small graphs; on larger ones our own in float64."""
    import copy

    from torch_geometric.nn import GCNConv
    from torch_geometric.utils import dropout_edge

    module = copy.deepcopy(inputs.module).double()
    if inputs.forms.num_nodes <= 3000:
        expected = _dense_run(inputs, module, GCNConv, dropout_edge, torch.float64)()
    else:
        expected = _wide(inputs, module)
    return max(relative_difference(a, b) for a, b in zip(result, expected, strict=True))


def _wide(inputs: TrainingInputs, module: Any) -> Result:
    """Float64 loss of the same views with the dense convolution's order of work, the loss by our own kernel."""
    from graphrep.kernels import CSR
    from graphrep.objectives import info_nce

    source = _estimator(inputs.width)._source(inputs.module, inputs.graph_of_ours)
    generator = torch.Generator().manual_seed(SEED)
    views = [source.draw((rate, 0.0), generator) for rate in DROP_RATES]
    sparse = source.x.to(torch.float64)

    def encode(adjacency: CSR) -> Tensor:
        matrix = torch.sparse_csr_tensor(
            adjacency.rowptr.long(), adjacency.col.long(), adjacency.value.double(), check_invariants=False
        )  # type: ignore[union-attr]
        out: Any = sparse
        for layer in module.encoder.convs:
            out = (matrix @ (out @ layer.lin.weight.t()) + layer.bias).relu()
        return module.head(out)  # type: ignore[no-any-return]

    return _graded(module, info_nce(*(encode(view.adjacency) for view in views), temperature=TEMPERATURE))


def _case(size: str) -> Case:
    graph = GRAPH_OF_SIZE[size]
    return Case(
        name=f"grace/{graph}",
        family="training",
        size=size,
        inputs=lambda: _inputs(size),
        ours=Method(_ours),
        rivals={"pyg-dense": Method(_dense, needs="torch_geometric", note="dense features and N x N logits")},
        check=_check,
        agree=all_agree,
        tolerance=2e-3,  # gradients in float32, where few entries of ReLU fall on the other side
        params={"graph": graph, "op": "grace", "features": FEATURES[size], "width": WIDTHS[size]},
        tags=frozenset({"memory"}),
    )


def cases() -> list[Case]:
    """Graphs of the size of Cora, PubMed and Coauthor-Physics."""
    return [_case(size) for size in GRAPH_OF_SIZE]
