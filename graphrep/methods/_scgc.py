"""Joint training of an encoder and cluster centres against a graph: module, and one step in full or on a batch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from graphrep.data.graph import Graph
from graphrep.errors import GraphrepError
from graphrep.eval import cluster_scores, kmeans
from graphrep.kernels import CSR
from graphrep.kernels._select import row_entries
from graphrep.methods._pretraining import encode, take
from graphrep.methods._reconstruction import reconstruction_error
from graphrep.methods._views import node_batches
from graphrep.methods.selection import select_partition
from graphrep.nn.autoencoder import AutoEncoder, FeatureMLP
from graphrep.objectives import clustering_kl, student_t, target_distribution

__all__ = ["Batch", "ClusterModule", "Course", "JointTask", "Pull", "best_start", "oracle_scores"]

Pull = Callable[[Tensor, Tensor, Tensor, CSR], Tensor]  # z, q, labels, influence -> the contrast


class ClusterModule(nn.Module):
    """An encoder of features and K centres in its embedding.

    Args:
        encoder: (N, F) to (N, d).
        num_clusters: K.
        df: degrees of freedom of the soft assignment.

    Attributes:
        row_length: what the features' rows were scaled to, for the scale "equal".
    """

    row_length: Tensor

    def __init__(self, encoder: FeatureMLP, num_clusters: int, *, df: float = 1.0) -> None:
        super().__init__()
        self.encoder, self.df = encoder, df
        self.centres = nn.Parameter(torch.zeros(num_clusters, encoder.out_channels))
        self.register_buffer("row_length", torch.ones(()))

    def assign(self, z: Tensor) -> Tensor:
        """(N, K) soft assignment of embedded nodes."""
        return student_t(z, self.centres, df=self.df)

    def forward(self, x: Any) -> tuple[Tensor, Tensor]:
        """(N, d) embedding and (N, K) soft assignment of features (N, F), dense or sparse, scaled as in training."""
        z = self.encoder(x)
        return z, self.assign(z)

    def extra_repr(self) -> str:
        """Number of centres."""
        return f"num_clusters={len(self.centres)}, df={self.df:g}"


@torch.no_grad()
def place_centres(module: ClusterModule, z: Tensor, labels: Tensor) -> None:
    """Sets the centres to the means of the clusters (N,) of the embedding (N, d).

    Raises:
        GraphrepError: fewer than K clusters have a node.
    """
    rows, count = z.double(), len(module.centres)
    size = torch.bincount(labels, minlength=count)
    if bool((size == 0).any()):
        points = len(torch.unique(rows, dim=0))
        raise GraphrepError(
            f"The encoder maps the nodes to {points} different points, too few for {count} clusters.",
            hint="fewer clusters, or features that tell the nodes apart",
        )
    sums = rows.new_zeros(count, rows.shape[1]).index_add_(0, labels, rows)
    module.centres.copy_(sums / size[:, None])


@torch.no_grad()
def best_start(
    module: ClusterModule, autos: Sequence[AutoEncoder], x: Tensor | CSR, graph: Graph, *, n_init: int, seed: int
) -> AutoEncoder:
    """Gives the module the encoder and the centres to start from; the auto-encoder that they are of.

    Of several auto-encoders, trained on the features `x` (N, F) of `graph`, it is the one whose k-means clusters links
    and features agree on best (:func:`graphrep.methods.select_partition`): a bad one is hardly mended by the training
    after it, and its loss does not tell.

    Raises:
        GraphrepError: the encoder maps the nodes to fewer than K points.
    """
    count = len(module.centres)
    embeddings = [encode(auto.encoder, x) for auto in autos]
    labels = [torch.from_numpy(kmeans(z.double(), count, n_init=n_init, seed=seed)).to(z.device) for z in embeddings]
    best = 0
    full = {str(i): part.cpu() for i, part in enumerate(labels) if len(torch.unique(part)) == count}
    if len(full) > 1:
        choice = select_partition(graph, full, seed=seed)
        best = int(choice.name)
        told = ", ".join(f"{evidence.score:.3f}" for evidence in choice.evidence.values())
        logging.getLogger("graphrep").info("evidence for the starts: %s; number %d is kept", told, best + 1)
    elif full:
        best = int(next(iter(full)))
    module.encoder = autos[best].encoder
    place_centres(module, embeddings[best], labels[best])
    return autos[best]


class Course(nn.Module):
    """What a joint training must remember between epochs; buffers, so that a saved state has them.

    Args:
        num_nodes: N.
        num_clusters: K.
        window: epochs over which changes of labels are counted.
        batched: whether an epoch has several steps.
    """

    recent: Tensor
    current: Tensor
    mass: Tensor
    gathered: Tensor

    def __init__(self, num_nodes: int, num_clusters: int, window: int, *, batched: bool) -> None:
        super().__init__()
        self.num_clusters = num_clusters
        self.register_buffer("recent", torch.zeros(window, num_nodes, dtype=torch.int32))
        if batched:
            self.register_buffer("current", torch.zeros(num_nodes, dtype=torch.int32))  # labels, as nodes are met
            self.register_buffer("mass", torch.zeros(num_clusters, dtype=torch.float64))  # of the epoch before
            self.register_buffer("gathered", torch.zeros(num_clusters, dtype=torch.float64))  # of this epoch so far

    def note(self, labels: Tensor, epoch: int) -> dict[str, Tensor | float]:
        """Takes in the labels (N,) at the start of epoch `epoch`: clusters in use, and the share that changed."""
        window = len(self.recent)
        place = (epoch - 1) % window
        found: dict[str, Tensor | float] = {
            "clusters": torch.bincount(labels.long(), minlength=self.num_clusters).count_nonzero()
        }
        if epoch > window:
            found["changed"] = (self.recent[place] != labels).double().mean()
        self.recent[place] = labels
        return found


class Batch(NamedTuple):
    """Nodes of one step: their ids, those that the epoch visits here, their part of the matrix, what is logged."""

    nodes: Tensor | None
    seeds: Tensor | None
    influence: CSR
    facts: dict[str, Tensor | float]


class JointTask:
    """Contrast along the graph, self-training of the assignment, and reconstruction where there is a decoder.

    A :class:`graphrep.train.Task`. With `batch_size`, a step sees that many nodes in random order and, for each, the
    ends of `num_walks` random walks, which are drawn by the entries of the node's row of `influence`; of the matrix it
    uses the rows and columns of these nodes. Masses of the clusters are those of the epoch before.

    Args:
        module: what is trained; its ``centres`` are set. A ``decoder`` in it is trained along.
        x: (N, F) features.
        influence: (N, N), all entries positive.
        pull: the contrast.
        alpha, beta: weights of contrast and self-training.
        window: epochs over which changes of labels are counted.
        batch_size: nodes per step; None: all.
        num_walks: see above.
        oracle: (N,) classes whose agreement is logged, and used for nothing else; None: none.
        fingerprint: settings of the method and the graph.
    """

    def __init__(
        self,
        module: ClusterModule,
        x: Tensor | CSR,
        influence: CSR,
        pull: Pull,
        *,
        alpha: float,
        beta: float,
        window: int,
        batch_size: int | None = None,
        num_walks: int = 1,
        oracle: Any = None,
        fingerprint: str = "",
    ) -> None:
        self.module: nn.Module = module
        self._clusters = module
        self.x, self.influence, self.pull, self.alpha, self.beta = x, influence, pull, alpha, beta
        self.num_nodes = x.shape[0]
        self.batch_size = None if batch_size is None or batch_size >= self.num_nodes else batch_size
        self.num_walks, self._oracle, self._fingerprint = num_walks, oracle, fingerprint
        self._walks = None if self.batch_size is None else _WalkEnds(influence)
        course = Course(self.num_nodes, len(module.centres), window, batched=self.batch_size is not None)
        module.course = course.to(module.centres.device)
        self._course = course
        self._z: Tensor | None = None

    def batches(self, epoch: int, generator: torch.Generator) -> Iterator[Batch]:
        """All nodes at once, or random batches with the ends of walks."""
        if self._walks is None:
            yield Batch(None, None, self.influence, {})
            return
        if epoch == 1:
            self._first_look()
        course = self._course
        course.mass.copy_(course.gathered)
        course.gathered.zero_()
        facts = self._noted(course.current, epoch)
        assert self.batch_size is not None
        for seeds in node_batches(self.num_nodes, self.batch_size, None, generator):
            yield self._walks.batch(seeds, self.num_walks, facts, generator)

    @torch.no_grad()
    def _first_look(self) -> None:
        """Labels and masses before the first step."""
        q = self._clusters.assign(encode(self._clusters.encoder, self.x))
        self._course.current.copy_(q.argmax(1))
        self._course.gathered.copy_(q.double().sum(0))

    def loss(self, batch: Batch, epoch: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """The weighted sum, and its parts."""
        module = self._clusters
        x = self.x if batch.nodes is None else take(self.x, batch.nodes)
        z = module.encoder(x).to(module.centres.dtype)
        q = module.assign(z)
        labels = q.detach().argmax(1)
        if batch.seeds is None:
            facts, mass = self._noted(labels, epoch), None
            self._z = z.detach()
        else:
            facts, mass = batch.facts, self._course.mass
            self._collect(batch, labels, q.detach())
        contrast = self.pull(z, q, labels, batch.influence)
        kl = clustering_kl(q, target_distribution(q, mass=mass))
        parts = {"contrast": contrast.detach(), "kl": kl.detach()}
        total = self.alpha * contrast + self.beta * kl
        if hasattr(module, "decoder"):
            error = reconstruction_error(module.decoder, z, x)  # type: ignore[arg-type]
            total, parts["reconstruction"] = total + error, error.detach()
        return total, {**parts, **facts}

    def _noted(self, labels: Tensor, epoch: int) -> dict[str, Tensor | float]:
        found = self._course.note(labels, epoch)
        if self._oracle is not None:
            found |= oracle_scores(self._oracle, labels)
        return found

    def _collect(self, batch: Batch, labels: Tensor, q: Tensor) -> None:
        """Labels and masses of the nodes that the epoch visits in this batch."""
        assert batch.seeds is not None
        assert batch.nodes is not None
        rows = torch.searchsorted(batch.nodes, batch.seeds).to(q.device)
        self._course.current[batch.seeds.to(q.device)] = labels[rows].int()
        self._course.gathered += q[rows].double().sum(0)

    def embed(self) -> Tensor:
        """(N, d); where steps see all nodes, as the last one saw them."""
        return encode(self._clusters.encoder, self.x) if self._z is None else self._z

    def fingerprint(self) -> str:
        """Settings of the method and digests of the graph."""
        return self._fingerprint


def oracle_scores(classes: Any, labels: Tensor) -> dict[str, Tensor | float]:
    """Agreement of labels with known classes, under names that say what they are."""
    scores = cluster_scores(classes, labels)
    named = {"acc": scores.acc, "nmi": scores.nmi, "ari": scores.ari, "f1": scores.macro_f1}
    return {f"oracle_{name}": value for name, value in named.items()}


class _WalkEnds:
    """Draws the ends of walks from the rows of an influence matrix, and cuts the matrix down to a batch."""

    def __init__(self, influence: CSR) -> None:
        assert influence.value is not None
        self.csr = influence
        self._sums = torch.cat([influence.value.new_zeros(1, dtype=torch.float64), influence.value.double().cumsum(0)])
        self._place = torch.full((influence.num_rows,), -1, dtype=torch.int64, device=influence.device)

    def batch(self, seeds: Tensor, walks: int, facts: dict[str, Tensor | float], generator: torch.Generator) -> Batch:
        """The seeds (ascending) and the ends of their walks, ascending, with their rows and columns."""
        nodes = torch.unique(torch.cat([seeds, self._ends(seeds.repeat(walks), generator)]))
        return Batch(nodes, seeds, self._within(nodes), facts)

    def _ends(self, starts: Tensor, generator: torch.Generator) -> Tensor:
        share = torch.rand(len(starts), generator=generator, dtype=torch.float64).to(self.csr.device)
        first, last = (self.csr.rowptr[(starts + k).to(self.csr.device)].long() for k in (0, 1))
        target = torch.lerp(self._sums[first], self._sums[last], share)
        found = torch.searchsorted(self._sums, target, right=True) - 1
        return self.csr.col[torch.minimum(found, last - 1)].long().to(starts.device)

    def _within(self, nodes: Tensor) -> CSR:
        nodes = nodes.to(self.csr.device)
        self._place[nodes] = torch.arange(len(nodes), device=nodes.device)
        pointer, entries = row_entries(self.csr.rowptr, nodes)
        column = self._place[self.csr.col[entries].long()]
        self._place[nodes] = -1
        kept = column >= 0
        count = torch.cat([kept.new_zeros(1, dtype=torch.int64), kept.cumsum(0)])[pointer]
        assert self.csr.value is not None
        kind, col = self.csr.rowptr.dtype, column[kept]
        perm = torch.arange(len(col), dtype=kind, device=col.device)
        value = self.csr.value[entries[kept]]
        return CSR._trusted(count.to(kind), col.to(kind), value, len(nodes), perm)
