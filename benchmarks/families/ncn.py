"""Training of NCN: an epoch with the published settings, and a step without dropout whose gradients are compared.

`epoch` draws negatives, and does for each batch: the graph without its links, encoder, predictor, loss, gradients,
Adam. Dropout makes the losses of two programs differ there; `step` leaves it out, so that loss and gradients must be
the same. The rival `plain` is NCN's program written down from its definition.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.families.ncn_plain import PlainNCN
from benchmarks.reference import all_agree, relative_difference
from benchmarks.registry import Case, Method

__all__ = ["cases"]

SEED = 7
SIZES = {"tiny": "tiny", "cora": "small", "citeseer": "medium"}
SHAPES = {"tiny": (120, 50, 300), "cora": (2708, 1433, 5278), "citeseer": (3327, 3703, 4552)}  # N, F, links
Result = tuple[Tensor, ...]


@dataclass(frozen=True)
class Links:
    """A graph with features, and what the results call it."""

    graph: Any

    def facts(self) -> dict[str, Any]:
        """What a result file says about it."""
        graph = self.graph
        counts = {"num_nodes": graph.num_nodes, "num_edges": graph.num_edges, "num_features": graph.num_features}
        return {"graph": graph.name, **counts}


@dataclass(frozen=True)
class NCNInputs:
    """A graph with features and the settings of its published run."""

    key: str
    dropout: bool

    @cached_property
    def graph(self) -> Links:
        """The set; without the data root a generated graph of its size, whose name says so."""
        import graphrep

        root = os.environ.get("GRAPHREP_DATA")
        if self.key != "tiny" and root and (Path(root) / f"planetoid/{self.key}.npz").is_file():
            return Links(graphrep.load(self.key))
        name = "tiny" if self.key == "tiny" else f"generated-{self.key}-size"
        return Links(_generated(*SHAPES[self.key], name))

    @cached_property
    def estimator(self) -> Any:
        """NCN as the recipe of the set says."""
        from graphrep.methods import NCN
        from graphrep.recipes import recipe

        settings = dict(recipe("ncn/" + ("cora" if self.key == "tiny" else self.key)).params)
        if self.key == "tiny":
            settings |= {"dim": 16, "batch_size": 128}
        if not self.dropout:
            rates = ("input_dropout", "gnn_dropout", "tail_dropout", "dropout", "neighbor_dropout")
            settings |= dict.fromkeys(rates, 0.0)
        return NCN(**settings)

    @cached_property
    def data(self) -> Any:
        """The training links of a 70/10/20 split."""
        from graphrep.data.split import split_edges
        from graphrep.methods._link_data import link_data

        graph = self.graph.graph
        split = split_edges(graph, shares=(70, 10, 20), directed=False, seed=SEED)
        return link_data(split.link_split(graph), None, None, SEED)

    @cached_property
    def task(self) -> Any:
        """Our task with a new module, whose state is in `start`."""
        from graphrep.methods._link_task import LinkTask
        from graphrep.nn.link_dropper import LinkDropper
        from graphrep.train import seeded

        estimator, data = self.estimator, self.data
        with seeded(SEED):
            module = estimator._module(estimator._shape(data))
        estimator._used = "given"
        dropper = LinkDropper(data.train, data.num_nodes)
        return LinkTask(
            module, estimator._input(data.graph, data.train), dropper, data,
            batch_size=estimator.batch_size, remove_targets=True, edge_dropout=0.0,
            neighbor_dropout=estimator.neighbor_dropout, hits_k=100, block_size=16384,
            encoder_rate=estimator.encoder_lr / estimator.lr, fingerprint="",
        )  # fmt: skip

    @cached_property
    def start(self) -> dict[str, Tensor]:
        """Weights before the first step."""
        return {name: value.clone() for name, value in self.task.module.state_dict().items()}

    def batches(self) -> Iterator[Any]:
        """Links and negatives of each step of ours."""
        made = iter(self.task.batches(1, torch.Generator().manual_seed(SEED)))
        return made if self.dropout else iter([next(made)])


def _generated(num_nodes: int, num_features: int, num_links: int, name: str) -> Any:
    """Links that mostly close triangles, and about thirty words a node."""
    from graphrep import Graph

    rng = np.random.default_rng(5)
    ring = np.stack([np.arange(num_nodes), (np.arange(num_nodes) + 1) % num_nodes])
    near = rng.integers(num_nodes, size=num_links - num_nodes)
    rest = np.stack([near, (near + rng.integers(2, 5, size=near.size)) % num_nodes])
    links = torch.from_numpy(np.concatenate([ring, rest], axis=1))
    x = torch.from_numpy((rng.random((num_nodes, num_features)) < min(0.3, 30 / num_features)).astype(np.float32))
    return Graph(links, num_nodes=num_nodes, x=x, name=name).to_undirected()


def _train(loss: Callable[[Any], Tensor], module: Any, inputs: NCNInputs, batches: Any, fused: bool) -> Result:
    """Adam over the batches; the losses, and without dropout the first gradients, which everything flows into."""
    module.load_state_dict(inputs.start)
    module.train()
    rates = ((module.encoder, inputs.estimator.encoder_lr), (module.predictor, inputs.estimator.lr))
    optimizer = torch.optim.Adam([{"params": list(part.parameters()), "lr": lr} for part, lr in rates], fused=fused)
    losses: list[Tensor] = []
    for batch in batches:
        value = loss(batch)
        optimizer.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(value.detach())
    if inputs.dropout:
        return (torch.stack(losses).mean()[None],)
    return torch.stack(losses), *(1000 * p.grad.clone() for p in _watched(module))


def _watched(module: Any) -> list[Any]:
    predictor = module.predictor
    return [module.encoder.lin.weight, module.encoder.jk, predictor.node_mlp.lin1.weight, predictor.head.out.weight]


def _ours(inputs: NCNInputs) -> Callable[[], Result]:
    task = inputs.task
    inputs.start  # noqa: B018 - made before anything is trained

    def run() -> Result:
        torch.manual_seed(SEED)
        generator = torch.Generator().manual_seed(SEED)
        return _train(lambda b: task.loss(b, 1, generator)[0], task.module, inputs, inputs.batches(), fused=True)

    return run


def _plain(inputs: NCNInputs, dtype: torch.dtype = torch.float32) -> Callable[[], Result]:
    from torch_geometric.utils import negative_sampling

    links, graph = inputs.task.dropper.links, inputs.data.graph
    inputs.start  # noqa: B018
    module = copy.deepcopy(inputs.task.module).to(dtype)
    plain = PlainNCN(module, _dense(graph.x), links, inputs.estimator.neighbor_dropout)
    both = torch.cat([links, links.flip(0)], dim=1)

    def run() -> Result:
        torch.manual_seed(SEED)
        drawn = negative_sampling(both, graph.num_nodes, links.shape[1])  # for their cost; ours are taken
        assert drawn.shape[0] == 2
        return _train(lambda b: plain.loss(b.links, b.negatives), module, inputs, inputs.batches(), fused=False)

    return run


def _dense(x: Any) -> Tensor:
    found: Tensor = x.to_dense() if x.layout != torch.strided else x
    return found.float()


def _check(inputs: NCNInputs, result: Result) -> float:
    """The losses, and without dropout the gradients, in float64."""
    wanted = _plain(inputs, torch.float64)()
    return max(relative_difference(a, b) for a, b in zip(result, wanted, strict=True))


def _case(key: str, op: str) -> Case:
    return Case(
        name=f"{op}/{key}",
        family="ncn",
        size=SIZES[key],
        inputs=lambda: NCNInputs(key, op == "epoch"),
        ours=Method(_ours, compiles=True),
        rivals={"plain": Method(_plain, note="NCN's program from its definition: graph rebuilt, dense features")},
        check=_check,
        agree=all_agree,
        tolerance=1e-3 if op == "step" else 0.1,  # with dropout only the mean loss of the epoch is near
        params={"graph": key, "op": op},
        tags=frozenset({"memory"}),
    )


def cases() -> list[Case]:
    """Step and epoch on a generated graph, Cora and CiteSeer."""
    return [_case(key, op) for key in SIZES for op in ("step", "epoch")]
