"""PamC: SCGC* with clusters that repel in place of all pairs of nodes; linear in nodes and edges."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from graphrep.errors import UnknownNameError
from graphrep.kernels import CSR
from graphrep.methods.scgc import SCGC
from graphrep.methods.trained import inherits_arguments
from graphrep.objectives import pamc

__all__ = ["PamC"]


class PamC(SCGC):
    """SCGC* whose negatives are the K sums of the clusters' members.

    The contrast is :func:`graphrep.objectives.pamc`: K^2 d operations for the negatives in place of N^2 d. It is a
    penalty that keeps clusters apart, not an estimate of SCGC's negatives; ``negatives="cluster_rows"`` is one, at
    N K d. Within a cluster nothing keeps nodes apart, so use ``probabilities_`` rather than ``embedding_`` for anything
    finer than the clusters. All other arguments and the attributes are those of :class:`~graphrep.methods.SCGC`.

    Args:
        num_clusters: K, at least 2.
        assignment: "hard": a node counts in the cluster of its largest q; "soft": in all, by its q, which then gets
            gradients from the contrast (an addition).
        normalize_members: add up unit rows, so that long vectors do not dominate their cluster (an addition).

    Source: Kulatilleke, Portmann, Chandra, "Efficient block contrastive learning via parameter-free meta-node
    approximation", 2022, arXiv:2209.14067.

    Example:
        >>> import graphrep as gr
        >>> model = gr.PamC(10, hidden_dims=(64,), scale_features=0.125, pretrain_epochs=3, epochs=3)
        >>> model.fit_predict(gr.load("digits")).shape
        torch.Size([1797])
    """

    def __init__(
        self,
        num_clusters: int | None = None,
        *,
        assignment: str = "hard",
        normalize_members: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(num_clusters, **{**_DEFAULTS, **options})
        self.assignment = assignment
        self.normalize_members = normalize_members

    def _check(self, graph: Any) -> None:
        super()._check(graph)
        if self.assignment not in ("hard", "soft"):
            raise UnknownNameError(f'assignment is "{self.assignment}".', hint='"hard" or "soft"')

    def _meta_nodes(self, z: Tensor, q: Tensor, labels: Tensor, influence: CSR) -> Tensor:
        return pamc(
            z,
            q if self.assignment == "soft" else labels,
            influence,
            inv_temperature=self.inv_temperature,
            assignment=self.assignment,
            num_clusters=q.shape[1],
            normalize_members=self.normalize_members,
        )


_DEFAULTS: dict[str, Any] = {"negatives": "pamc", "beta": 1.0, "inv_temperature": 0.5}
inherits_arguments(PamC, **_DEFAULTS)
