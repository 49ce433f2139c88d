"""The training of a link predictor: links with fresh negatives, target links out of the graph, validation."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from graphrep.errors import EmptyGraphError
from graphrep.eval.linkpred import link_scores
from graphrep.kernels import CSR
from graphrep.methods._link_data import LinkData, non_links, ranks_of_links
from graphrep.methods._recommend_task import new_seed
from graphrep.nn.link_dropper import LinkDropper
from graphrep.nn.ncn import NCN
from graphrep.objectives import link_bce

__all__ = ["LinkBatch", "LinkTask", "scored"]

_LOOKED_AT = 256  # rows of the embedding that the loop's signals see


class LinkBatch(NamedTuple):
    """(B,) numbers of links and (2, B) pairs that are none."""

    links: Tensor
    negatives: Tensor


class LinkTask:
    """The training of a :class:`~graphrep.nn.NCN` on the links of a graph; a :class:`graphrep.train.JudgedTask`.

    Args:
        module: what is trained.
        x: features as the module takes them, or None.
        dropper: the training links.
        data: validation pairs.
        batch_size: B, most links of a step; every link occurs once an epoch, in batches of equal size.
        remove_targets: the links of a batch are out of the graph in its step.
        edge_dropout: share of links that are out of the encoder's graph in a step.
        neighbor_dropout: share that is out of the neighbour sets.
        hits_k: K of the Hits@K that chooses the epoch.
        block_size: pairs scored at a time.
        encoder_rate: learning rate of the encoder over that of the predictor.
        fingerprint: settings of the method.

    Raises:
        EmptyGraphError: every pair of nodes is a link.
    """

    supervised = True

    def __init__(
        self,
        module: NCN,
        x: Any,
        dropper: LinkDropper,
        data: LinkData,
        *,
        batch_size: int,
        remove_targets: bool,
        edge_dropout: float,
        neighbor_dropout: float,
        hits_k: int,
        block_size: int,
        encoder_rate: float,
        fingerprint: str,
    ) -> None:
        self.module: nn.Module = module
        self._ncn, self.x, self.dropper, self.data = module, x, dropper, data
        self.batch_size, self.remove_targets = batch_size, remove_targets
        self.rates = {"message_rate": edge_dropout, "neighbor_rate": neighbor_dropout}
        self.hits_k, self.block_size = hits_k, block_size
        self.encoder_rate, self._fingerprint = encoder_rate, fingerprint
        self._used = ranks_of_links(dropper.links, dropper.num_nodes)
        if not non_links(self._used, 1, dropper.num_nodes, np.random.default_rng(0)).numel():
            raise EmptyGraphError("every pair of nodes is a link, so nothing can be missing.", hint="a sparser graph")
        self._last: Tensor | None = None

    def groups(self) -> Sequence[tuple[Sequence[nn.Parameter], float]]:
        """Encoder and predictor."""
        parts = ((self._ncn.encoder, self.encoder_rate), (self._ncn.predictor, 1.0))
        return [([p for p in part.parameters() if p.requires_grad], rate) for part, rate in parts]

    def batches(self, epoch: int, generator: torch.Generator) -> Iterable[LinkBatch]:
        """All links in random order, with as many new pairs that are no training link.

        Batches are of equal size: a last one of few links would be one more step, with the noisiest gradient.
        """
        device, count = self.dropper.links.device, self.dropper.num_links
        rng = np.random.default_rng(new_seed(generator))
        negatives = non_links(self._used, count, self.dropper.num_nodes, rng).to(device)
        order = torch.randperm(count, generator=generator).to(device)
        steps = -(-count // self.batch_size)
        for links, pairs in zip(order.tensor_split(steps), negatives.tensor_split(steps, dim=1), strict=True):
            yield LinkBatch(links, pairs)

    def loss(
        self, batch: LinkBatch, epoch: int, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """Cross-entropy of the links of a batch and its negatives, on the graph without the former."""
        view = self.dropper(batch.links if self.remove_targets else None, **self.rates, generator=generator)
        h = self._ncn.encode(self.x, view.messages)
        pairs = torch.cat([self.dropper.links[:, batch.links], batch.negatives], dim=1)
        logits, count = self._ncn.decode(h, view.neighbors, pairs), batch.links.numel()
        return link_bce(logits[:count], logits[count:, None]), {}

    def embed(self) -> Tensor:
        """Some rows of the vectors of the nodes, on the graph with all training links."""
        self._last = self._ncn.encode(self.x, self.dropper.whole.messages)
        return self._last[:: max(1, len(self._last) // _LOOKED_AT)]

    def judge(self) -> Mapping[str, float]:
        """Hits@K, MRR, AUC and AP of the validation links among all validation negatives."""
        h, self._last = self._last, None
        if h is None or self.data.val_pos is None or self.data.val_neg is None:
            return {}
        sides = (self.data.val_pos, self.data.val_neg)
        pos, neg = (scored(self._ncn, h, self.dropper.whole.neighbors, side, self.block_size) for side in sides)
        if not all(bool(torch.isfinite(part).all()) for part in (pos, neg)):
            return {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = link_scores(pos, neg, ks=(self.hits_k,))
        return {"hits": found.hits[self.hits_k], "mrr": found.mrr, "auc": found.auc, "ap": found.ap}

    def fingerprint(self) -> str:
        """Settings of the method and a digest of links and validation pairs."""
        digest = hashlib.blake2b(digest_size=8)
        for part in (self.dropper.links, self.data.val_pos, self.data.val_neg):
            digest.update(b"" if part is None else part.cpu().contiguous().numpy().tobytes())
        return f"{self._fingerprint}, {self.dropper.num_nodes} nodes, links {digest.hexdigest()}"


@torch.no_grad()
def scored(module: NCN, h: Tensor, csr: CSR, pairs: Tensor, block_size: int) -> Tensor:
    """(P,) logits on the CPU of (2, P) pairs, a block at a time."""
    parts = [module.decode(h, csr, part.to(h.device)).cpu() for part in torch.split(pairs, block_size, dim=1)]
    return torch.cat(parts) if parts else torch.empty(0, dtype=h.dtype)
