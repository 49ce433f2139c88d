"""`graphrep eval` beyond the two first probes: splits, saved clusters and scores, reconstruction, spectrum."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphrep as gr

Run = Callable[..., Any]


@pytest.fixture
def karate(folder: Path) -> Any:
    """karate.npz with vectors of karate's nodes, in another order than the graph's; and the graph."""
    graph = gr.load("karate")
    order = np.random.default_rng(0).permutation(34)
    z = np.random.default_rng(1).standard_normal((34, 6)).astype(np.float32)
    z[:, 0] += 3 * graph.y.numpy()
    gr.save_embeddings("z.npz", z[order], ids=order)
    return graph, z


def split_files() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same split as split.npz (node numbers), masks.npz and split.csv (names)."""
    parts = np.split(np.random.default_rng(2).permutation(34), (10, 20))
    names = ("train", "val", "test")
    np.savez("split.npz", **{f"{name}_idx": part for name, part in zip(names, parts, strict=True)})
    masks = {f"{n}_mask": np.isin(np.arange(34), p) for n, p in zip(("train", "valid", "test"), parts, strict=True)}
    np.savez("masks.npz", **masks)
    rows = [f"{node},{name}" for name, part in zip(names, parts, strict=True) for node in part]
    Path("split.csv").write_text("\n".join(["id,part", *rows]) + "\n")
    return tuple(parts)


@pytest.mark.parametrize(
    ("protocol", "options", "library"),
    [
        ("gca", ("--runs", 2, "--steps", 40), {"seeds": range(2), "steps": 40}),
        (
            "dmgi",
            ("--runs", 3, "--steps", 30, "--lr", 0.1, "--weight-decay", 0.01),
            {"seeds": range(3), "steps": 30, "lr": 0.1, "weight_decay": 0.01},
        ),
        ("planetoid", ("--unit-rows",), {"normalize": True}),
        ("grace", (), {}),
    ],
)
def test_probes_with_a_split_equal_the_library(
    run: Run, karate: Any, protocol: str, options: Any, library: Any
) -> None:
    graph, z = karate
    parts = split_files()
    expected = gr.eval.linear_probe(z, graph.y, protocol=protocol, split=parts, **library)
    for file in ("split.npz", "masks.npz", "split.csv"):
        arguments = ("z.npz", "--dataset", "karate", "--protocol", protocol, "--split", file, *options)
        found = json.loads(run("eval", *arguments, "--json").stdout)
        assert found["rows"][0]["micro_f1"] == pytest.approx(100 * expected.micro_f1)
        assert found["rows"][0]["macro_f1"] == pytest.approx(100 * expected.macro_f1)
        assert found["inputs"]["split"]["sha256"] == hashlib.sha256(Path(file).read_bytes()).hexdigest()
        assert (found["rows"][0]["train"], found["rows"][0]["test"]) == (10, 14)
    said = run("eval", *arguments).stdout
    assert "given" in said
    if protocol == "dmgi":
        assert found["rows"][0]["auc"] == pytest.approx(100 * expected.auc)
        assert "3 classifier initialisations (std over classifier initialisations, n - 1)" in said
        assert "AUC %" in said


def test_gca_says_how_the_step_was_chosen(run: Run, karate: Any) -> None:
    split_files()
    with np.load("split.npz") as parts:
        np.savez("two.npz", train_idx=parts["train_idx"], test_idx=parts["test_idx"])
    options = ("z.npz", "--dataset", "karate", "--protocol", "gca", "--runs", 1, "--steps", 40, "--split", "two.npz")
    assert "chosen by nothing (last step)" in run("eval", *options).stdout
    assert "chosen by TEST micro-F1" in run("eval", *options, "--selection", "test (published)").stdout
    random = run("eval", *options[:-1], "random").stdout
    assert "a single run" in random
    assert "10 %" in random


def test_a_data_sets_own_split_is_used_where_the_protocol_has_one(run: Run, karate: Any) -> None:
    graph, z = karate
    parts = split_files()
    np.savez(
        "graph.npz",
        edge_index=graph.edge_index.numpy(),
        y=graph.y.numpy(),
        **{f"{n}_idx": p for n, p in zip(("train", "val", "test"), parts, strict=True)},
    )
    found = json.loads(run("eval", "z.npz", "--dataset", "graph.npz", "-p", "planetoid", "--json").stdout)
    expected = gr.eval.linear_probe(z, graph.y, protocol="planetoid", split=parts)
    assert found["rows"][0]["micro_f1"] == pytest.approx(100 * expected.micro_f1)
    assert found["selection"] == "validation accuracy"
    assert (
        run("eval", "z.npz", "--dataset", "graph.npz", "-p", "grace").stdout.count("10 %") == 1
    )  # random all the same
    assert "dmgi needs a split" in run("eval", "z.npz", "--dataset", "karate", "-p", "dmgi", code=2).stderr


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "npz"])
def test_saved_clusters(run: Run, karate: Any, kind: str) -> None:
    graph, _ = karate
    order = np.random.default_rng(3).permutation(34)
    clusters = (np.arange(34) % 3)[order]
    path = Path(f"clusters.{kind}")
    if kind == "npz":
        np.savez(path, id=order, cluster=clusters)
    elif kind == "parquet":
        pa = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet").write_table(pa.table({"id": order, "cluster": clusters}), path)
    else:
        mark = "," if kind == "csv" else "\t"
        rows = [mark.join((str(i), f"group {c}", "0.5")) for i, c in zip(order, clusters, strict=True)]
        path.write_text("\n".join([mark.join(("id", "cluster", "confidence")), *rows]) + "\n")
    found = json.loads(run("eval", path, "--dataset", "karate", "--json").stdout)
    truth = gr.eval.cluster_scores(graph.y, np.arange(34) % 3)
    parts = gr.eval.partition_scores(graph.edge_index, np.arange(34) % 3)
    assert found["acc"] == pytest.approx(truth.acc)
    assert found["ari"] == pytest.approx(truth.ari)
    assert found["modularity"] == pytest.approx(parts.modularity)
    assert found["conductance_mean"] == pytest.approx(parts.conductance_mean)
    said = run("eval", path, "--dataset", "karate", "--protocol", "clusters").stdout
    for text in ("34 given assignments, 3 clusters", "a single run", "ACC", "modularity"):
        assert text in said


def test_clusters_with_labels_alone_or_a_graph_alone(run: Run, folder: Path) -> None:
    Path("c.csv").write_text("id,cluster\na,1\nb,1\nc,2\nd,2\n")
    Path("l.csv").write_text("id,label\na,x\nb,x\nc,y\n")
    Path("g.csv").write_text("from,to\na,b\nc,d\n")
    found = json.loads(run("eval", "c.csv", "--labels", "l.csv", "--json").stdout)
    assert (found["acc"], found["num_scored"]) == (1.0, 3)
    assert "modularity" not in found
    found = json.loads(run("eval", "c.csv", "--dataset", "g.csv", "--json").stdout)
    assert found["modularity"] == pytest.approx(0.5)
    assert "acc" not in found
    assert "against labels or on a graph" in run("eval", "c.csv", code=2).stderr
    assert "protocol grace judges embeddings" in run("eval", "c.csv", "-p", "grace", code=2).stderr
    Path("g.csv").write_text("from,to\na,stranger\n")
    assert 'has node "stranger"' in run("eval", "c.csv", "--dataset", "g.csv", code=2).stderr
    Path("c.csv").write_text("id,cluster\na,1\na,2\n")
    assert "an id twice" in run("eval", "c.csv", "--labels", "l.csv", code=2).stderr


@pytest.mark.filterwarnings("ignore:Hits")
def test_score_files(run: Run, folder: Path) -> None:
    rng = np.random.default_rng(0)
    pos, pool, own = rng.standard_normal(20) + 1, rng.standard_normal(60), rng.standard_normal((20, 3))
    Path("pool.csv").write_text("\n".join(["score,label", *(f"{s},1" for s in pos), *(f"{s},0" for s in pool)]) + "\n")
    rows = [(g, s, 1) for g, s in enumerate(pos)] + [(g, s, 0) for g, part in enumerate(own) for s in part]
    rng.shuffle(rows)
    text = [f"q{int(g)},{float(s)!r},{int(label)}" for g, s, label in rows]
    Path("own.csv").write_text("\n".join(["group,score,label", *text]) + "\n")
    np.savez("own.npz", pos=pos, neg=own)
    for file, negatives in (("pool.csv", pool), ("own.csv", own), ("own.npz", own)):
        found = json.loads(run("eval", file, "--json").stdout)
        expected = gr.eval.link_scores(pos, negatives)
        for name in ("auc", "ap", "mrr", "negatives"):
            assert found[name] == (
                pytest.approx(getattr(expected, name)) if name != "negatives" else expected.negatives
            )
        assert found["hits"]["10"] == pytest.approx(expected.hits[10])
    said = run("eval", "own.npz", "--protocol", "links").stdout
    assert "20 given scores of links against 3 negatives of its own for each, a single run" in said
    assert "MRR" in said


BAD = {
    "unequal groups": ("group,score,label\na,1,1\na,0,0\nb,1,1\n", "as many negatives in all"),
    "two positives": ("group,score,label\na,1,1\na,0,1\n", "2 positives and 0 negatives"),
    "label 2": ("score,label\n1,2\n", "label must be 0 or 1"),
    "no label": ("score,id\n1,2\n", "has no column label"),
    "text": ("score,label\nhigh,1\n", "does not hold numbers"),
    "short row": ("score,label\n1\n", "line 2: expected 2 columns, found 1"),
    "NaN": ("score,label\nnan,1\n0.5,0\n", "pos holds nan"),
    "no negatives": ("score,label\n0.5,1\n", "neg is empty"),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_score_files(run: Run, folder: Path, name: str) -> None:
    text, message = BAD[name]
    Path("s.csv").write_text(text)
    result = run("eval", "s.csv", code=2)
    assert message in result.stderr
    assert "Try:" in result.stderr


def test_files_that_cannot_be_read(run: Run, folder: Path) -> None:
    Path("s.npz").write_bytes(b"no archive")
    assert "cannot be read" in run("eval", "s.npz", code=2).stderr
    np.savez("p.npz", pos=np.array([1.0]))
    assert "pos and no neg" in run("eval", "p.npz", code=2).stderr
    np.savez("o.npz", score=np.array([{"a": 1}], dtype=object), label=np.array([1]))
    assert "cannot be read" in run("eval", "o.npz", code=2).stderr


def test_reconstruction(run: Run, karate: Any) -> None:
    graph, z = karate
    options = ("z.npz", "--dataset", "karate", "-p", "reconstruction", "--node-k", "1,5", "--pair-k", "0,10")
    found = json.loads(run("eval", *options, "--hops", "1,2", "--score", "cosine", "--json").stdout)
    expected = gr.eval.reconstruction(
        z, graph.edge_index, hops=(1, 2), similarity="cosine", node_ks=(1, 5), pair_ks=(78, 10)
    )
    assert found["map_exact"] == pytest.approx(
        {str(k): v for k, v in expected.map_exact.items()}, abs=0.02
    )  # ties by id
    assert found["pair_precision"]["78"] == pytest.approx(expected.pair_precision[78])
    assert found["inputs"]["dataset"]["of"] == "edge_index, edge_weight, y"
    said = run("eval", *options, "--sources", 20, "--seed", 3).stdout
    assert "20 random source nodes of 34, 95 % bootstrap interval over sources" in said
    for text in ("MAP hop 3 within", "node precision@5", "pair precision@78"):
        assert text in said
    assert "needs the graph" in run("eval", "z.npz", "-p", "reconstruction", code=2).stderr
    assert "unknown similarity" in run("eval", *options, "--score", "l2", code=2).stderr


def test_spectrum_needs_no_labels(run: Run, karate: Any) -> None:
    graph, z = karate
    found = json.loads(run("eval", "z.npz", "-p", "spectrum", "--json").stdout)
    assert found["rankme"] == pytest.approx(gr.eval.rankme(z))
    assert found["uniformity"] == pytest.approx(gr.eval.uniformity(z))
    assert "alignment" not in found
    found = json.loads(run("eval", "z.npz", "-p", "spectrum", "--dataset", "karate", "--json").stdout)
    low, high = graph.edge_index.numpy()
    assert found["alignment"] == pytest.approx(gr.eval.alignment(z[low], z[high]))
    assert "6 vectors, no labels" in run("eval", "z.npz", "-p", "spectrum").stdout


def test_bad_splits(run: Run, karate: Any) -> None:
    options = ("z.npz", "--dataset", "karate", "-p", "planetoid", "--split")
    assert "There is no file" in run("eval", *options, "none.npz", code=2).stderr
    Path("s.csv").write_text("id,part\n1,training\n")
    assert 'has part "training"' in run("eval", *options, "s.csv", code=2).stderr
    Path("s.csv").write_text("id,part\n99,train\n")
    assert "have no vector" in run("eval", *options, "s.csv", code=2).stderr
    np.savez("s.npz", train_idx=[0, 99], val_idx=[1], test_idx=[2])
    assert "refers to node 99" in run("eval", *options, "s.npz", code=2).stderr
    np.savez("s.npz", other=[0])
    assert "has no split" in run("eval", *options, "s.npz", code=2).stderr


def test_a_result_tells_what_it_was_made_from(run: Run, karate: Any) -> None:
    run("eval", "z.npz", "--dataset", "karate", "-p", "grace", "-o", "r.json")
    found = json.loads(Path("r.json").read_text())
    assert found["inputs"]["judged"]["sha256"] == hashlib.sha256(Path("z.npz").read_bytes()).hexdigest()
    assert len(found["inputs"]["dataset"]["sha256"]) == 64
    assert {"seeds", "versions", "command", "seconds", "peak_memory", "device", "dtype", "std_over"} <= set(found)
    assert (found["seeds"], found["std_over"], found["dtype"]) == ([0, 1, 2], "data splits", "float32")
    assert len(found["rows"][0]["micro_f1_runs"]) == 3
