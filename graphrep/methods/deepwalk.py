"""DeepWalk: nodes that are met together on random walks get similar vectors (Perozzi, Al-Rfou, Skiena 2014)."""

from __future__ import annotations

from graphrep.methods.skipgram import SkipGramEstimator

__all__ = ["DeepWalk"]


class DeepWalk(SkipGramEstimator):
    """Node embeddings by skip-gram with negative sampling on uniform random walks.

    For each pair of nodes that lie at most `window` steps apart on a walk, one step of gradient descent on::

        -log s(w_u . c_v) - negative_weight * sum_j log s(-w_u . c_nj),   s(x) = 1 / (1 + exp(-x))

    with n_j drawn by degree to the power `negative_power`. No features are needed. New nodes have no vector.

    The nodes are dealt out to P `parts`, and the pairs of a pool to P x P blocks by the parts of their two nodes. P
    blocks that share neither row nor column train at the same time without locks, each with negatives from its own
    part. The result is the same for any number of threads; threads beyond P idle.

    The defaults are GraphVite's settings with the 80 walks per node of the paper. The paper's own are ``window=10,
    shrink_window=True, starts="node", num_negatives=5, negative_weight=1, weight_decay=0``, which takes four times as
    long.

    Args:
        dim: d, numbers per node.
        epochs: passes of as many walks as there are nodes with edges out of them. The learning rate falls linearly to
            nothing over all of them.
        walk_length: steps of a walk; it ends early at a node without edges out of it.
        window: most steps between the nodes of a pair.
        shrink_window: draw the window anew for each node of a walk, from 1 to `window`, as word2vec does: near nodes
            count more.
        starts: ``"node"``: every node once per epoch, in a new order; ``"degree"``: nodes drawn by the weight of their
            edges.
        direction: of a directed graph: ``"both"``: walks ignore directions; ``"out"``: they follow the edges.
        num_negatives: k negatives per pair.
        negative_weight: what each of them counts.
        negative_power: see above.
        lr: learning rate at the start.
        weight_decay: share by which each row shrinks when it learns, times the learning rate.
        parts: P at most; a part has 64 nodes or more. Another number gives another, equally good result.
        pool_size: about how many pairs are made, sorted and learned from at a time; 16 bytes each.
        batch_size: pairs of a block that learn from the same state of the tables. None: 1 on the CPU, where kernels are
            made for it; 512 on other devices, where a step is a few operations on whole tensors (and `parts` above 8
            makes them larger).
        precision: "float32" or "float64".
        device: where walks and training run.
        seed: any integer.

    Attributes:
        embedding_: (N, dim); nodes without neighbours have zero vectors.
        context_: (N, dim): a pair of nodes scores ``embedding_[u] @ context_[v]``.
        module_: both tables.
        history_: loss, learning rate and pairs of each epoch.

    Edges are walked in proportion to their weights; parallel edges count as often as they occur, and edges of weight 0
    not at all.

    Cost: about ``N epochs walk_length (window + 1) (num_negatives + 1) d`` multiply-adds and as many again for the
    updates; memory for the matrix, two tables and a pool: O(E + N d).

    Raises:
        EmptyGraphError: no edges (raised by `fit`).
        GraphrepError: an argument out of range, or a negative weight.
        DivergedError: the learning rate is far too large.

    Source: Perozzi, Al-Rfou, Skiena, "DeepWalk: Online Learning of Social Representations", KDD 2014,
    arXiv:1403.6652, with negative sampling (Mikolov et al. 2013, arXiv:1310.4546) in place of the hierarchical softmax;
    the blocks are those of Zhu, Xu, Qu, Tang, "GraphVite", WWW 2019, arXiv:1903.00757.

    Example:
        >>> import graphrep as gr
        >>> model = gr.DeepWalk(dim=16, epochs=2, seed=1).fit(gr.load("karate"))
        >>> model.embedding_.shape, len(model.history_.epochs)
        (torch.Size([34, 16]), 2)
    """
