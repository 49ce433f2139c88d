"""Neural common neighbours, with and without completion (NCN and NCNC)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from graphrep.errors import GraphrepError, ShapeError, UnknownNameError
from graphrep.kernels import CSR
from graphrep.kernels._check import check_device, check_floating, check_index, check_range
from graphrep.nn._adjacency import Edges, pattern
from graphrep.nn._arguments import check_rate
from graphrep.nn._link_encoder import LinkEncoder
from graphrep.nn._link_predictor import LinkPredictor

__all__ = ["NCN"]

_CHOICES = {
    "conv": ("puregcn", "gcn"),
    "inner_features": ("input", "transformed"),
    "jk_init": ("mean", "normal"),
}


class NCN(nn.Module):
    """Logits of missing links from both ends and from the vectors of their common neighbours.

    Encoder: ``H_0 = X W + b``, ``H_l = D^-1/2 (A + I) D^-1/2 H_(l-1)``, ``H = sum_l c_l H_l``. Predictor, for a pair
    (i, j) with f three small networks: ``X' = H + f_x(H)``, ``c_ij = sum of X'_u over common neighbours u``, ``logit =
    f_o(beta f_c(c_ij) + f_q(h_i * h_j))``; symmetric in i and j. With completion (NCNC) c_ij gains ``p_u X'_u`` for the
    neighbours u of one end alone, where ``p = alpha pt s / (pt s + 1 - s)``, ``s = sigmoid(scale (z - offset))`` and z
    is the logit of the link that u lacks, by the same predictor with one completion less, without gradient.

    Args:
        in_channels: F.
        hidden_channels: D.
        num_layers: L, 1 or more.
        conv: ``"puregcn"`` as above, or ``"gcn"``: graph convolutions, all but the last followed by LayerNorm, dropout
            and ReLU.
        jk: H is the weighted sum over layers, with trained weights; False: the last layer.
        jk_init: these weights start at ``"mean"`` 1 / L, or ``"normal"``, as published.
        residual: add a layer's input to its output where widths agree.
        use_xlin: with f_x; False: X' = H.
        tail_act: f_c and f_q end in a ReLU; False: in one more linear layer.
        two_layer_head: one more hidden layer in f_o.
        common_neighbors: False leaves out c_ij: the product branch alone.
        completion: 0 (NCN), 1 (NCNC) or 2.
        scale, offset, alpha, pt: see above; alpha bounds p, pt below 1 lowers the odds.
        inner_features: what the inner predictor sees: ``"input"`` H, as the paper says; ``"transformed"`` X', as the
            published program does.
        inner_dropout: the inner predictor drops in training, as published.
        exclude_endpoints: i and j are never completed themselves.
        max_completion: one-sided neighbours per end that are drawn, weighted so that the expected sum stays; None: all.
        input_dropout, gnn_dropout, tail_dropout: of X, between encoder layers, behind the last; dropout: of the
            predictor.
        num_nodes: with trained vectors (N, F) instead of features, for graphs without; pass ``x=None``.
        chunk_size: inner pairs scored at a time.

    Shapes:
        x: (N, F) dense, torch sparse CSR, or a :class:`~graphrep.kernels.CSR`; edge_index: (2, E) in both directions,
        each edge once, without self-loops (duplicates double messages, and a loop makes a node its own neighbour), or a
        CSR (N, N); pairs: (2, P), in any order, repeated ones and equal ends too. Logits are (P,).

    Costs of a call: the encoder on the whole graph, O(nnz(X) D + E D); f_x on the pooled nodes; sums over common
    neighbours without a list of P x D entries. Inner pairs of a completion are scored once each.

    Raises:
        GraphrepError, UnknownNameError: a setting out of range.
        ShapeError, IndexRangeError, DTypeError, DeviceError: the arguments of a call do not fit each other.

    Source: Wang, Yang, Zhang, "Neural Common Neighbor with Completion for Link Prediction", ICLR 2024,
    arXiv:2302.00890.

    Example:
        >>> edge_index = torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]])
        >>> model = NCN(4, 8, completion=1).eval()
        >>> model(torch.eye(4), edge_index, torch.tensor([[0, 1], [2, 3]])).shape
        torch.Size([2])
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int = 256,
        num_layers: int = 1,
        *,
        conv: str = "puregcn",
        jk: bool = True,
        jk_init: str = "mean",
        residual: bool = False,
        use_xlin: bool = True,
        tail_act: bool = True,
        two_layer_head: bool = False,
        common_neighbors: bool = True,
        completion: int = 0,
        scale: float = 4.3,
        offset: float = 2.8,
        alpha: float = 1.0,
        pt: float = 0.75,
        inner_features: str = "input",
        inner_dropout: bool = True,
        exclude_endpoints: bool = True,
        max_completion: int | None = None,
        input_dropout: float = 0.0,
        gnn_dropout: float = 0.0,
        tail_dropout: float = 0.0,
        dropout: float = 0.0,
        num_nodes: int | None = None,
        chunk_size: int = 32768,
    ) -> None:
        super().__init__()
        chosen = {"conv": conv, "inner_features": inner_features, "jk_init": jk_init}
        for name, value in chosen.items():
            if value not in _CHOICES[name]:
                raise UnknownNameError(f'{name} is "{value}".', hint="one of " + ", ".join(_CHOICES[name]))
        sizes = {"in_channels": in_channels, "hidden_channels": hidden_channels, "num_layers": num_layers}
        sizes |= {"chunk_size": chunk_size, "max_completion": 1 if max_completion is None else max_completion}
        sizes |= {"num_nodes": 1 if num_nodes is None else num_nodes}
        for name, size in sizes.items():
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise GraphrepError(f"{name} is {size!r}.", hint="an integer of 1 or more")
        if isinstance(completion, bool) or completion not in (0, 1, 2):
            raise GraphrepError(f"completion is {completion!r}.", hint="0 (NCN), 1 (NCNC) or 2")
        for name, number in {"scale": scale, "offset": offset, "alpha": alpha, "pt": pt}.items():
            if not math.isfinite(number) or (number <= 0 and name != "offset"):
                raise GraphrepError(f"{name} is {number}.", hint="a finite number, positive but for offset")
        rates = {"input_dropout": input_dropout, "gnn_dropout": gnn_dropout, "tail_dropout": tail_dropout}
        rates = {name: check_rate(rate, name) for name, rate in rates.items()}
        self.completion = completion
        self.encoder = LinkEncoder(
            in_channels, hidden_channels, num_layers,
            conv=conv, jk=jk, jk_init=jk_init, residual=residual, num_nodes=num_nodes, **rates,
        )  # fmt: skip
        self.predictor = LinkPredictor(
            hidden_channels,
            use_xlin=use_xlin,
            tail_act=tail_act,
            two_layer_head=two_layer_head,
            dropout=check_rate(dropout, "dropout"),
            common_neighbors=common_neighbors,
            calibration=(scale, offset, alpha, pt),
            inner_features=inner_features,
            inner_dropout=inner_dropout,
            exclude_endpoints=exclude_endpoints,
            max_completion=max_completion,
            chunk_size=chunk_size,
        )

    def reset_parameters(self) -> None:
        """Draws all weights anew."""
        self.encoder.reset_parameters()
        for part in self.predictor.modules():
            if isinstance(part, nn.Linear | nn.LayerNorm):
                part.reset_parameters()
        with torch.no_grad():
            self.predictor.beta.fill_(1)

    def encode(self, x: Any, edge_index: Edges) -> Tensor:
        """(N, D) vectors of the nodes; a CSR with weights is taken as normalised already."""
        found: Tensor = self.encoder(x, edge_index)
        return found

    def decode(self, h: Tensor, csr: CSR, pairs: Tensor) -> Tensor:
        """(P,) logits from node vectors (N, D) and the neighbour sets in `csr` (N, N), whose weights play no part."""
        logits: Tensor = self.predictor(h, csr, _ordered(h, csr, pairs), self.completion)
        return logits

    def neighbor_weights(self, h: Tensor, csr: CSR, pairs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(pair, node, weight) of every node whose vector is pooled for a pair, sorted by pair, then node.

        Common neighbours have weight 1, completed ones their probability (times degree over drawn with
        `max_completion`).
        """
        return self.predictor.weights(h, csr, _ordered(h, csr, pairs), self.completion)

    def forward(self, x: Any, edge_index: Edges, pairs: Tensor) -> Tensor:
        """(P,) logits; shapes are those of the class."""
        h = self.encode(x, edge_index)
        csr = edge_index.with_value(None) if isinstance(edge_index, CSR) else pattern(edge_index, (len(h), len(h)))
        return self.decode(h, csr, pairs)


def _ordered(h: Tensor, csr: CSR, pairs: Tensor) -> Tensor:
    """Pairs as int64, the smaller end first: the sums, and so the bytes of a score, do not depend on the order."""
    check_floating(h, "h")
    check_index(pairs, "pairs", ndim=2)
    if pairs.shape[0] != 2:
        hint = "pairs.t()" if pairs.shape[1] == 2 else "torch.stack([first, second])"
        raise ShapeError(f"pairs must have shape (2, P); got {tuple(pairs.shape)}.", hint=hint)
    if h.dim() != 2 or csr.shape != (len(h), len(h)):
        raise ShapeError(f"h has shape {tuple(h.shape)} and csr {csr.shape}.", hint="(N, D) and (N, N)")
    check_device(h.device, pairs=pairs, csr=csr.col)
    check_range(pairs, len(h), "pairs")
    return torch.stack(torch.aminmax(pairs.long(), dim=0))
