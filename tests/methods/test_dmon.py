"""DMoN: its loss on the training graph, order of columns, files, resumption, other graphs, errors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from cluster_cases import planted
from torch import Tensor

from graphrep import DMoN, Graph
from graphrep.errors import (
    CheckpointMismatchError,
    EmptyGraphError,
    GraphrepError,
    MissingFeaturesError,
    UnknownNameError,
)
from graphrep.methods._partition_input import prepared
from graphrep.objectives import dmon_loss
from graphrep.train import Callback, Interrupted


def dense_forward(model: DMoN, graph: Graph) -> Tensor:
    """Soft clusters with dense matrices: one convolution, ELU, linear layer, softmax."""
    assert isinstance(graph.x, Tensor)
    x = graph.x.double()
    x = x / x.abs().sum(1, keepdim=True).clamp(min=1e-300)
    a = torch.eye(graph.num_nodes, dtype=torch.float64)
    a[graph.edge_index[1], graph.edge_index[0]] = 1
    root = a.sum(1).rsqrt()
    weight, bias = (part.detach().double() for part in model.module_.encoder.layers[0])
    z = torch.nn.functional.elu(root[:, None] * a * root @ (x @ weight) + bias)
    head = model.module_.head
    return (z @ head.weight.detach().double().t() + head.bias.detach().double()).softmax(1)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_soft_clusters_and_loss_equal_the_dense_definition(precision: str) -> None:
    graph, _ = planted(isolated=2)
    model = DMoN(3, epochs=5, dropout=0.0, precision=precision).fit(graph)
    soft = dense_forward(model, graph)
    tol = 1e-10 if precision == "float64" else 1e-5
    assert model.probabilities_ is not None
    torch.testing.assert_close(model.probabilities_.double(), soft, rtol=0, atol=tol)
    assert torch.equal(model.labels_, model.probabilities_.argmax(1))
    after = DMoN(3, epochs=6, dropout=0.0, precision=precision).fit(graph).history_.losses[5]
    assert after == pytest.approx(float(dmon_loss(soft, prepared(graph).csr)), abs=10 * tol)


def test_weights_of_links_and_sparse_features() -> None:
    graph, _ = planted(weighted=True)
    plain = Graph(graph.edge_index, x=graph.x, num_nodes=graph.num_nodes)
    a, b = DMoN(3, epochs=3).fit(graph), DMoN(3, epochs=3).fit(plain)
    assert a.history_.losses[0] != b.history_.losses[0]
    sparse, _ = planted(weighted=True, sparse=True)
    assert sparse.x is not None
    dense = sparse.replace(x=sparse.x.to_dense())
    c, d = DMoN(3, epochs=3).fit(sparse), DMoN(3, epochs=3).fit(dense)
    assert c.history_.losses == pytest.approx(d.history_.losses, abs=1e-6)


def test_empty_clusters_are_told_and_come_last() -> None:
    graph, _ = planted((30, 30))
    model = DMoN(6, epochs=300, lr=0.02, collapse=0.0, seed=1).fit(graph)
    assert model.num_clusters_ < 6
    assert model.notes_ == [f"{6 - model.num_clusters_} of 6 clusters are empty."]
    assert model.probabilities_ is not None
    assert model.probabilities_.shape == (60, 6)
    assert int(model.probabilities_.argmax(1).max()) == model.num_clusters_ - 1


def test_other_graphs_files_and_resumption(tmp_path: Path) -> None:
    graph, _ = planted()
    whole = DMoN(3, epochs=20).fit(graph)
    other, _ = planted(seed=9)
    assert torch.equal(whole.predict(graph), whole.labels_)
    assert whole.predict_proba(other).shape == (60, 3)
    whole.save(tmp_path / "m")
    again = DMoN.load(tmp_path / "m")
    assert torch.equal(again.labels_, whole.labels_)
    assert torch.equal(again.predict(other), whole.predict(other))
    with pytest.raises(CheckpointMismatchError, match="trained on 8 features"):
        again.predict(other.replace(x=torch.ones(60, 2)))

    class Stop(Callback):
        stopped = False

        def epoch_done(self, log: object) -> None:
            self.stopped = getattr(log, "epoch", 0) == 7

    stop = Stop()
    with pytest.raises(Interrupted):
        DMoN(3, epochs=20).fit(
            graph, callbacks=[stop], checkpoint=tmp_path / "c.safetensors", should_stop=lambda: stop.stopped
        )
    resumed = DMoN(3, epochs=20).fit(graph, checkpoint=tmp_path / "c.safetensors", resume=True)
    assert resumed.history_.losses == whole.history_.losses
    assert torch.equal(resumed.labels_, whole.labels_)
    with pytest.raises(CheckpointMismatchError):
        DMoN(3, epochs=20, collapse=0.5).fit(graph, checkpoint=tmp_path / "c.safetensors", resume=True)


def test_errors() -> None:
    graph, _ = planted()
    with pytest.raises(MissingFeaturesError, match="dmon needs node features"):
        DMoN(3).fit(graph.replace(x=None))
    with pytest.raises(EmptyGraphError, match="needs links"):
        DMoN(3).fit(Graph(torch.empty(2, 0, dtype=torch.int64), x=torch.ones(5, 2), num_nodes=5))
    with pytest.raises(GraphrepError, match="dropout is 1"):
        DMoN(3, dropout=1.0).fit(graph)
    with pytest.raises(GraphrepError, match="collapse is -1"):
        DMoN(3, collapse=-1.0).fit(graph)
    with pytest.raises(UnknownNameError, match="scale_features"):
        DMoN(3, scale_features="column").fit(graph)
    with pytest.raises(GraphrepError, match="dim is 0"):
        DMoN(3, dim=0).fit(graph)
