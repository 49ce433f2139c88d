"""TextGraphContrast: its subgraphs, what training learns, zero-shot classes, files, and bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphrep import Graph
from graphrep.errors import (
    CheckpointMismatchError,
    EmptyGraphError,
    GraphrepError,
    MissingFeaturesError,
    ShapeError,
    UnknownNameError,
)
from graphrep.methods import TextGraphContrast
from graphrep.methods._walk_subgraphs import WalkSampler

TOPICS = ("apple pear plum", "car bus train", "red green blue")
WORDS = [word for topic in TOPICS for word in topic.split()]


def words(texts: list[str]) -> Tensor:
    """A text encoder: counts of words."""
    return torch.tensor([[float(text.split().count(word)) for word in WORDS] for text in texts])


def topical(per_topic: int = 20, seed: int = 0) -> Graph:
    """Nodes with one or two words of their topic, linked within it."""
    generator = torch.Generator().manual_seed(seed)
    count = per_topic * len(TOPICS)
    texts, edges = [], []
    for node in range(count):
        topic = node // per_topic
        of = TOPICS[topic].split()
        texts.append(f"{of[node % 3]} {of[(node * 7) % 3]}")
        ends = torch.randint(topic * per_topic, (topic + 1) * per_topic, (3,), generator=generator)
        edges += [(node, int(end)) for end in ends if int(end) != node]
    y = torch.arange(count) // per_topic
    return Graph(torch.tensor(edges).t(), y=y, num_nodes=count, text=texts, name="topics")


def small(**changed: Any) -> TextGraphContrast:
    options: dict[str, Any] = {"dim": 16, "text_encoder": words, "epochs": 4, "batch_size": 16}
    return TextGraphContrast(**{**options, **changed})


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 30), st.integers(0, 60), st.integers(0, 5), st.integers(0, 100))
def test_subgraphs_hold_exactly_the_edges_between_their_nodes(nodes: int, edges: int, length: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    edge_index = torch.randint(nodes, (2, edges), generator=generator)
    centers = torch.randint(nodes, (4,), generator=generator)
    found = WalkSampler(edge_index, nodes, num_walks=3, length=max(length, 1)).sample(centers, seed=seed)
    linked = {(a, b) for a, b in edge_index.t().tolist() if a != b}
    linked |= {(b, a) for a, b in linked}
    assert found.node[found.center].tolist() == centers.tolist()
    wanted = set()
    for first, last in zip(found.rowptr[:-1].tolist(), found.rowptr[1:].tolist(), strict=True):
        inside = found.node[first:last].tolist()
        assert len(set(inside)) == len(inside) <= 3 * max(length, 1) + 1
        wanted |= {
            (first + a, first + b) for a in range(len(inside)) for b in range(len(inside))
            if (inside[a], inside[b]) in linked
        }  # fmt: skip
    pairs = [tuple(pair) for pair in found.edge_index.t().tolist()]
    assert len(set(pairs)) == len(pairs)
    assert set(pairs) == wanted


def test_training_brings_subgraphs_to_their_texts() -> None:
    graph = topical()
    model = small(epochs=20, lr=1e-2, residual=False).fit(graph)
    assert model.history_.losses[-1] < 0.8 * model.history_.losses[0]
    labels, scores = model.zero_shot(dict(zip("fvc", TOPICS, strict=True)))
    assert (labels == graph.y).float().mean() > 0.9
    assert scores.shape == (60, 3)
    torch.testing.assert_close(model.embedding_.norm(dim=1), torch.ones(60))


def test_untrained_residual_says_what_the_neighbourhood_says() -> None:
    graph = topical()
    model = small(epochs=0).fit(graph)
    assert (model.zero_shot(list(TOPICS))[0] == graph.y).float().mean() > 0.9
    other = topical(seed=5)
    assert (model.zero_shot(list(TOPICS), graph=other)[0] == other.y).float().mean() > 0.9


def test_summaries_are_the_texts_that_count() -> None:
    graph = topical()
    turned = [TOPICS[(int(topic) + 1) % 3] for topic in graph.y]  # each topic is called what another is
    model = small(epochs=30, lr=2e-2, residual=False, adversarial_steps=0).fit(graph, summaries=turned)
    assert (model.zero_shot(list(TOPICS))[0] == (graph.y + 1) % 3).float().mean() > 0.9
    with pytest.raises(ShapeError, match="2 summaries for 60 nodes"):
        small().fit(graph, summaries=["a", "b"])


def test_seed_decides_everything_and_a_run_can_be_resumed(tmp_path: Path) -> None:
    from graphrep.train import Interrupted

    graph = topical(8)
    whole = small().fit(graph)
    assert torch.equal(whole.embedding_, small().fit(graph).embedding_)
    asked: list[int] = []
    with pytest.raises(Interrupted):
        small().fit(graph, checkpoint=tmp_path / "state", should_stop=lambda: asked.append(1) or len(asked) > 1)
    resumed = small().fit(graph, checkpoint=tmp_path / "state", resume=True)
    assert torch.equal(whole.embedding_, resumed.embedding_)
    other = graph.replace(text=graph.text[::-1].copy())
    with pytest.raises(CheckpointMismatchError):
        small().fit(other, checkpoint=tmp_path / "state", resume=True)


def test_nodes_without_edges_or_text() -> None:
    graph = Graph(torch.tensor([[0, 1], [1, 0]]), num_nodes=4, text=["apple", "pear", "", "car bus"])
    model = small(epochs=1).fit(graph)
    assert bool(torch.isfinite(model.embedding_).all())
    alone = model.embed(Graph(torch.zeros(2, 0, dtype=torch.int64), num_nodes=1, text=["car"]))
    assert alone.shape == (1, len(WORDS))


def test_features_of_the_graph_and_an_encoder_of_your_own() -> None:
    from graphrep.nn import SAGEConv

    graph = topical(8)
    graph = graph.replace(x=torch.eye(24).to_sparse_csr())
    made = small(features="graph", graph_encoder=lambda width: SAGEConv(width, 16)).fit(graph)
    assert isinstance(made.module_.encoder, SAGEConv)
    assert made.embedding_.shape == (24, len(WORDS))
    with pytest.raises(GraphrepError, match="settings file cannot hold"):
        made.save("nowhere")
    with pytest.raises(MissingFeaturesError, match="no features"):
        small(features="graph").fit(topical(8))


def test_bert_encoder_and_files(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    from graphrep.nn import TextEncoder

    torch.manual_seed(0)
    settings_of = transformers.BertConfig(
        vocab_size=60, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=64,
    )  # fmt: skip

    def tokens(texts: list[str]) -> list[list[int]]:
        return [[1, *(2 + WORDS.index(word) for word in text.split() if word in WORDS)] for text in texts]

    encoder = TextEncoder(transformers.BertModel(settings_of, add_pooling_layer=False))
    before = encoder.digest()
    model = small(text_encoder=encoder, tokenizer=tokens, epochs=1).fit(topical(8))
    assert encoder.digest() == before
    assert model.zero_shot(list(TOPICS))[1].shape == (24, 3)
    with pytest.raises(GraphrepError, match="needs its tokenizer"):
        small(text_encoder=encoder).fit(topical(8))


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"text_encoder": None}, GraphrepError, "needs a text encoder"),
        ({"features": "words"}, UnknownNameError, "words"),
        ({"batch_size": 1}, GraphrepError, "batch_size is 1"),
        ({"drop_edge": 1.0}, GraphrepError, "drop_edge is 1"),
        ({"init_scale": 200.0}, GraphrepError, "init_scale is 200"),
        ({"adversarial_steps": -1}, GraphrepError, "adversarial_steps"),
        ({"text_encoder": lambda texts: torch.ones(3)}, ShapeError, "a floating-point row per text|gave"),
        ({"text_encoder": lambda texts: torch.full((len(texts), 2), float("nan"))}, GraphrepError, "NaN"),
    ],
)
def test_settings_that_do_not_fit(changed: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        small(**changed).fit(topical(4))


def test_graphs_that_do_not_fit() -> None:
    with pytest.raises(MissingFeaturesError, match="needs a text per node"):
        small().fit(Graph(torch.tensor([[0], [1]])))
    with pytest.raises(EmptyGraphError, match="1 nodes have one"):
        small().fit(Graph(torch.tensor([[0], [1]]), text=["apple", " "]))
    model = small(epochs=0).fit(topical(4))
    with pytest.raises(GraphrepError, match="1 classes"):
        model.zero_shot(["apple"])
    with pytest.raises(GraphrepError, match="template"):
        model.zero_shot(["apple", "car"], template="fruit")
