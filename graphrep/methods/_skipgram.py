"""What DeepWalk, LINE and node2vec train: two tables, pools of pairs from walks, and a schedule that can be resumed."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from graphrep.data.graph import Graph
from graphrep.data.tensor_files import write_tensors
from graphrep.errors import DivergedError, EmptyGraphError, GraphrepError
from graphrep.kernels import CSR, random_walks
from graphrep.kernels.skipgram import partition_nodes, skipgram_, walk_pairs
from graphrep.train import Callback, EpochLog, History, Interrupted, TrainConfig
from graphrep.train.checkpoint import State, is_finite, load_state, save_state
from graphrep.typing import Direction

__all__ = ["Schedule", "SkipGramModule", "SkipGramSource", "SkipGramTraining", "pairs_per_walk"]

_STEP = 0x9E3779B97F4A7C15  # seeds of the pools of one training lie this far apart (modulo 2^64)
_LEAST_RATE = 1e-4  # of the first learning rate, at the end; as word2vec's


class SkipGramModule(nn.Module):
    """The two tables, trained without gradients of torch.

    Attributes:
        vertex: (N, d) the embedding.
        context: (N, d) how each node looks from others.
    """

    vertex: Tensor
    context: Tensor

    def __init__(self, num_nodes: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("vertex", torch.rand(num_nodes, dim).sub_(0.5).div_(dim))
        self.register_buffer("context", torch.zeros(num_nodes, dim))


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How pairs are made and learned from; the estimators describe the settings.

    Attributes:
        by_edge: an epoch has as many steps as there are stored edges, else a walk per node with edges out of it.
        both: a node meets those before it on a walk too.
    """

    epochs: int
    walk_length: int
    window: int
    shrink: bool
    both: bool
    starts: str
    by_edge: bool
    p: float
    q: float
    lr: float
    num_negatives: int
    negative_weight: float
    weight_decay: float
    power: float
    parts: int
    pool_size: int
    batch_size: int
    seed: int


def pairs_per_walk(schedule: Schedule) -> float:
    """How many pairs a walk gives on average, but for its ends.

    A window that is drawn anew reaches half as far on average.
    """
    hops = min(schedule.window, schedule.walk_length)
    reach = (hops + 1) / 2 if schedule.shrink else hops
    return max(1.0, schedule.walk_length * reach * (2 if schedule.both else 1))


class SkipGramSource:
    """The graph as the walks need it, and which nodes they start at.

    Args:
        graph: edges of weight 0 are left out.
        direction: ``"out"``: walks follow the edges; ``"both"``: they go either way.
        schedule: see there.
        device: where the walks run.

    Raises:
        EmptyGraphError: no edge.
        GraphrepError: a negative weight.
    """

    def __init__(self, graph: Graph, direction: Direction, schedule: Schedule, device: str) -> None:
        graph = _without_zeros(graph)
        if not graph.num_edges:
            raise EmptyGraphError("The graph has no edges, so there is nothing to walk on.", hint="a graph with edges")
        undirected = graph.is_undirected()
        csr = graph.csr("in" if undirected else direction)
        out = _row_weights(csr)
        into = out if undirected or direction == "both" else _row_weights(graph.csr("in"))
        self.linked = (out + into) > 0  # nodes with an edge
        self.active = (out > 0).nonzero().reshape(-1)
        self.out_weight = out
        mass = torch.where(self.linked, (out + into) ** schedule.power, 0.0)
        self.parts = partition_nodes(mass, schedule.parts).to(device)
        self.table = partition_nodes(out, 1).to(device) if schedule.starts == "degree" else None
        self.csr = csr.to(device)
        by_edge = -(-csr.nnz // schedule.walk_length)
        self.walks_per_epoch = by_edge if schedule.by_edge else self.active.numel()

    def begins(self, schedule: Schedule, epoch: int) -> Callable[[int, int, int], Tensor]:
        """A function (first, last, seed) of where the walks with these numbers start in an epoch."""
        device = self.csr.device
        table = self.table
        if table is not None:

            def drawn(first: int, last: int, seed: int) -> Tensor:
                index = torch.arange(last - first, device=device)
                return table.draw(torch.zeros_like(index), index, 1, seed=seed)[0]

            return drawn
        shuffled = torch.Generator().manual_seed((schedule.seed + epoch * _STEP) & (1 << 63) - 1)
        order = self.active[torch.randperm(self.active.numel(), generator=shuffled)].to(device)
        return lambda first, last, seed: order[torch.arange(first, last, device=device) % order.numel()]


def _row_weights(csr: CSR) -> Tensor:
    """(N,) float64 total weight of each row."""
    if csr.value is None:
        return csr.degree().double()
    if bool((csr.value < 0).any()):
        raise GraphrepError("an edge weight is negative; walks need probabilities.", hint="weights of 0 or more")
    return torch.zeros(csr.num_rows, dtype=torch.float64).index_add_(0, csr.row().long(), csr.value.double())


def _without_zeros(graph: Graph) -> Graph:
    weight = graph.edge_weight
    if weight is None or not bool((weight == 0).any()):
        return graph
    kept = weight != 0
    return Graph(graph.edge_index[:, kept], weight[kept], num_nodes=graph.num_nodes)


class SkipGramTraining:
    """One training, from the first pool to the last or from a saved state on.

    A pool is what is walked, sorted and learned from in one go; its numbers depend on the seed and its place alone.

    Args:
        module: trained in place.
        source: the graph.
        schedule: how.
        config: for the saved state.
        fingerprint: of settings and graph, for the saved state.
    """

    def __init__(
        self, module: SkipGramModule, source: SkipGramSource, schedule: Schedule, config: TrainConfig, fingerprint: str
    ) -> None:
        self.module, self.source, self.schedule, self.config = module, source, schedule, config
        self.fingerprint = fingerprint
        self.history = History()
        per_pool = max(1, int(schedule.pool_size / pairs_per_walk(schedule)))
        self.pools = max(1, -(-source.walks_per_epoch // per_pool))  # in an epoch
        self.done = 0  # pools, in all epochs
        self.losses: list[float] = []  # of the pools of this epoch
        self.pairs, self.seconds = 0, 0.0  # of this epoch

    def run(
        self,
        *,
        callbacks: Sequence[Callback] = (),
        checkpoint: Path | None = None,
        checkpoint_every: float = 30.0,
        resume: bool = False,
        rescue: Path | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> History:
        """Trains; the arguments are those of :func:`graphrep.train.train`, but states are saved within epochs too."""
        if resume and checkpoint is not None and checkpoint.exists():
            self._restore(load_state(checkpoint, self.config, self.fingerprint))
        for callback in callbacks:
            callback.start(self.config, len(self.history.epochs))
        saved_at = time.monotonic()
        total = self.pools * self.schedule.epochs
        while self.done < total:
            epoch = self.done // self.pools + 1
            begins = self.source.begins(self.schedule, epoch)
            while self.done < epoch * self.pools:
                started = time.perf_counter()
                self._pool(begins, total, rescue)
                spent = time.perf_counter() - started
                self.seconds, self.history.seconds = self.seconds + spent, self.history.seconds + spent
                for callback in callbacks:
                    callback.part_done(epoch, 1 - (epoch * self.pools - self.done) / self.pools)
                if self.done == epoch * self.pools:
                    self._record(epoch, callbacks)
                stop = should_stop is not None and should_stop()
                if checkpoint is not None and (stop or time.monotonic() - saved_at >= checkpoint_every):
                    save_state(checkpoint, self._state(), self.config, self.fingerprint)
                    saved_at = time.monotonic()
                if stop and self.done < total:
                    raise Interrupted(f"stopped in epoch {epoch}")
        self.history.kept_epoch = self.schedule.epochs
        return self.history

    def _rate(self, done: float, total: int) -> float:
        """The learning rate when `done` of `total` pools are through."""
        return self.schedule.lr * max(1 - done / total, _LEAST_RATE)

    def _pool(self, begins: Callable[[int, int, int], Tensor], total: int, rescue: Path | None) -> None:
        schedule, source = self.schedule, self.source
        seed = (schedule.seed + (self.done + 1) * _STEP) & (1 << 64) - 1
        place, count = self.done % self.pools, source.walks_per_epoch
        starts = begins(place * count // self.pools, (place + 1) * count // self.pools, seed)
        walks = random_walks(source.csr, starts, schedule.walk_length, p=schedule.p, q=schedule.q, seed=seed)
        parts = source.parts
        pairs = walk_pairs(
            source.csr, walks, parts.part, parts.num_parts,
            window=schedule.window, both=schedule.both, shrink=schedule.shrink, seed=seed,
        )  # fmt: skip
        del walks
        loss = skipgram_(
            self.module.vertex,
            self.module.context,
            pairs,
            parts,
            lr=(self._rate(self.done, total), self._rate(self.done + 1, total)),
            num_negatives=schedule.num_negatives,
            negative_weight=schedule.negative_weight,
            weight_decay=schedule.weight_decay,
            batch_size=schedule.batch_size,
            turn=self.done,
            seed=seed,
        )
        if not math.isfinite(loss):
            raise self._diverged(loss, rescue)
        self.losses.append(loss)
        self.pairs += len(pairs)
        self.done += 1

    def _record(self, epoch: int, callbacks: Sequence[Callback]) -> None:
        rate = self._rate(self.done, self.pools * self.schedule.epochs)
        mean = sum(self.losses) / len(self.losses)
        parts = {"pairs": float(self.pairs)}
        self.history.epochs.append(EpochLog(epoch, mean, parts, rate, 0.0, self.seconds))
        best = self.history.best_epoch
        if not best or mean < self.history.epochs[best - 1].loss:
            self.history.best_epoch = epoch
        self.losses, self.pairs, self.seconds = [], 0, 0.0
        for callback in callbacks:
            callback.epoch_done(self.history.epochs[-1])

    def _state(self) -> State:
        facts = {"done": self.done, "losses": self.losses, "pairs": self.pairs, "seconds": self.seconds}
        none = torch.empty(0, dtype=torch.uint8)  # no generator runs on from pool to pool
        slots = {"state": {}, "param_groups": [facts]}
        return State(self.module.state_dict(), slots, {}, math.nan, none, none, self.history)

    def _restore(self, state: State) -> None:
        self.module.load_state_dict(state.module)
        facts = state.optimizer["param_groups"][0]
        self.done, self.losses = int(facts["done"]), [float(loss) for loss in facts["losses"]]
        self.pairs, self.seconds = int(facts["pairs"]), float(facts["seconds"])
        self.history = state.history

    def _diverged(self, loss: float, rescue: Path | None) -> DivergedError:
        epoch = self.done // self.pools + 1
        kept = "its tables are not finite"
        if is_finite(self.module.state_dict()):
            kept = "the module holds the state after this pool"
            if rescue is not None:
                write_tensors(rescue, self.module.state_dict(), {"graphrep": "graphrep weights 1", "epoch": str(epoch)})
                kept = str(rescue)
        return DivergedError(
            f"Loss became {loss} in epoch {epoch}, pool {self.done % self.pools + 1}: {kept}.",
            hint=f"--set lr={self.schedule.lr / 10:g}",
        )
