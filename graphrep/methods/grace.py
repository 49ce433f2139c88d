"""GRACE: agreement of two randomly thinned copies of a graph, node by node, against all other nodes."""

from __future__ import annotations

from graphrep.methods.two_view import TwoViewEstimator

__all__ = ["GRACE"]


class GRACE(TwoViewEstimator):
    """Node embeddings by InfoNCE between two views in which edges and features were dropped at random.

    Of each view's 2 N - 1 other rows none is left out: the loss is exact, in 16 N^2 d operations per epoch and
    O(N d + E) memory.

    Args:
        dim: d, numbers per node.
        hidden_dim: width of the layers before the last; None: 2 d.
        projection_dim: width inside the projection head; None: d.
        num_layers: graph convolutions.
        activation: "relu", "prelu", "rrelu" or "elu".
        encoder: None: :class:`~graphrep.nn.GCNEncoder`; else a module called as encoder(x, edge_index) that gives
            (N, dim), or a function of the number of features that makes one.
        drop_edge_rates: of the views, in turn; each direction of an edge is dropped by itself unless `undirected`.
        drop_feature_rates: of the views: rates at which columns are set to zero for all nodes.
        undirected: drop both directions of an edge together.
        scale_features: "row": rows divided by their sum of absolute values; "none".
        temperature: of the loss.
        loss: "info_nce", "decoupled", "guided", "individual_temperatures", "matryoshka", "mann_whitney" or
            "multi_view", all over the same views.
        loss_options: settings of the loss, such as ``{"margin": 0.1}`` for "guided".
        pot: add the regulariser of provable training (Yu et al. 2023) to the loss.
        pot_weight: kappa: the loss is (1 - kappa) contrast + kappa pot.
        pot_bound: "official", "ibp", "crown-ibp" or "best"; see :func:`graphrep.objectives.node_compactness`.
        pot_nodes: random nodes whose scores enter the mean in each step; None: all.
        batch_size: nodes that are compared in one step; None: all nodes, exactly.
        num_neighbors: with `batch_size`: encode only a sample of the graph with so many neighbours per layer.
        steps_per_epoch: with `batch_size`: batches per epoch at most; None: each node once.
        epochs, lr, weight_decay, optimizer, clip_norm, precision, stop, patience, min_delta, keep, eval_every,
            time_budget, seed: see :class:`graphrep.train.TrainConfig`.
        device: where the training runs.

    Attributes:
        module_: encoder and head; ``module_.encoder`` alone makes embeddings.
        embedding_: (N, dim) of the training graph, without dropping and without the head.
        history_: the course of the training.

    Directed graphs are used as they are; duplicate edges count once and self-loops as the one that every node has.

    Source: Zhu, Xu, Yu, Liu, Wu, Wang, "Deep Graph Contrastive Representation Learning", 2020, arXiv:2006.04131. With
    `pot`: Yu, Wang, Zhang, Liu, Shi, "Provable Training for Graph Contrastive Learning", NeurIPS 2023,
    arXiv:2309.13944.

    Example:
        >>> import graphrep as gr
        >>> model = gr.GRACE(dim=16, epochs=5).fit(gr.load("digits"))
        >>> model.embedding_.shape, len(model.history_.epochs)
        (torch.Size([1797, 16]), 5)
    """
