"""The commands on graphs with several kinds of nodes: train, embed, eval, data show, convert; what they refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hetero_library import NODES, library, save

import graphrep as gr
from graphrep.cli.typed import TypedRows, named_splits
from graphrep.data import datasets
from graphrep.errors import FileFormatError, GraphrepError, UnknownNameError
from graphrep.methods import load_model

Run = Callable[..., Any]
SMALL = ("--dim", "8", "--epochs", "3", "--set", "num_clusters=4,8")


@pytest.fixture
def named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root in which hetero/acm is a small set, and clustering/acm something else."""
    monkeypatch.setattr(datasets, "_verify", lambda path, entry: None)
    graph = library()
    parts: dict[str, Any] = {
        "num_p": NODES,
        "num_a": 24,
        "num_s": 3,
        "y": graph.y,
        "target_type": "p",
        "x_p": graph.x["paper"],
    }
    parts |= dict(zip(("rel_pa", "rel_ps"), graph.edge_index.values(), strict=True))
    parts |= graph.splits
    for family, arrays in (("hetero", parts), ("clustering", {"edge_index": np.array([[0, 1], [1, 0]]), "y": [0, 1]})):
        (folder / "root" / family).mkdir(parents=True)
        np.savez(folder / "root" / family / "acm.npz", **{key: np.asarray(part) for key, part in arrays.items()})
    monkeypatch.setenv("GRAPHREP_DATA", str(folder / "root"))
    return folder


def test_a_folder_is_trained_judged_and_reported(run: Run, folder: Path) -> None:
    save(folder / "lib")
    said = run("train", "meow", "lib", *SMALL, "--report").stdout
    made = folder / "runs" / "train-meow-lib"
    assert "lib: 60 paper, 24 author, 3 venue; 240 edges\n" in said
    assert "meta-paths: paper>author>paper, paper>venue>paper" in said
    assert "paper>venue>paper                        attention 0." in said
    saved = gr.load_embeddings(made / "embeddings.npz")
    assert saved.ids.tolist() == [f"p{i}" for i in range(NODES)]
    assert saved.vectors.shape == (NODES, 8)
    result = json.loads((made / "result.json").read_text())
    assert (result["num_nodes"], result["num_edges"], result["node_type"]) == (NODES, 240, "paper")
    assert result["params"]["num_clusters"] == [4, 8]  # not 4.0 and 8.0
    assert list(result["attention"]) == ["paper>author>paper", "paper>venue>paper"]
    assert len((made / "metrics.jsonl").read_text().splitlines()) == 3
    page = (made / "report.html").read_text()
    for text in ("8 numbers for each of 60 nodes", "nodes of author", "paper-by-author", "Nearest neighbours"):
        assert text in page
    judged = run("eval", made / "embeddings.npz", "--dataset", "lib", "--protocol", "dmgi", "--runs", 3).stdout
    assert [line.split()[0] for line in judged.splitlines()[2:4]] == ["2", "4"]
    one = run("eval", made / "embeddings.npz", "--dataset", "lib", "-p", "dmgi", "--split", "4", "--runs", 2, "--json")
    rows = json.loads(one.stdout)["rows"]
    assert [(row["split"], row["train"], row["val"], row["test"]) for row in rows] == [("4", 12, 20, 28)]
    clusters = json.loads(run("eval", made / "embeddings.npz", "--dataset", "lib", "-p", "clusters", "--json").stdout)
    assert 0.3 < clusters["nmi"] <= 1
    assert json.loads(one.stdout)["inputs"]["dataset"]["of"] == "edge_index, edge_weight, y"


def test_the_same_folder_and_seed_give_the_same_vectors(run: Run, folder: Path) -> None:
    save(folder / "lib")
    for name in ("a", "b"):
        run("train", "meow", "lib", *SMALL, "-o", name)
    first, second = (gr.load_embeddings(folder / name / "embeddings.npz").vectors for name in "ab")
    np.testing.assert_array_equal(first, second)


def test_embed_and_a_trained_model(run: Run, folder: Path) -> None:
    save(folder / "lib")
    run(
        "embed",
        "lib",
        "--method",
        "meow",
        "--set",
        "epochs=2",
        "--set",
        "num_clusters=4,8",
        "--set",
        "metapaths=PAP",
        "-d",
        8,
    )
    made = folder / "runs" / "embed-lib"
    assert load_model(made).get_params()["metapaths"] == "PAP"
    first = gr.load_embeddings("lib.embeddings.npz")
    again = run("embed", "lib", "--model", made, "-o", "again.npz", "--json")
    assert json.loads(again.stdout)["num_nodes"] == NODES
    np.testing.assert_allclose(gr.load_embeddings("again.npz").vectors, first.vectors, atol=1e-6)
    assert gr.load_embeddings("again.npz").ids.tolist() == first.ids.tolist()
    save(folder / "new", y=None, splits={}, target=None)  # nodes without labels
    assert "60 paper" in run("embed", "new", "--model", made).stdout
    assert "--features does not apply" in run("embed", "lib", "--model", made, "--features", "degree", code=2).stderr


@pytest.mark.parametrize("method", ["adameow", "heco"])
def test_the_other_methods(run: Run, folder: Path, method: str) -> None:
    save(folder / "lib")
    run("train", method, "lib", "--dim", 8, "--epochs", 2)
    assert gr.load_embeddings(f"runs/train-{method}-lib/embeddings.npz").vectors.shape == (NODES, 8)


def test_any_type_can_be_the_target(run: Run, folder: Path) -> None:
    save(folder / "lib", metapaths=())
    run("train", "meow", "lib", *SMALL, "--set", "target=author", "--set", "metapaths=author>paper>author", "--report")
    made = folder / "runs" / "train-meow-lib"
    assert gr.load_embeddings(made / "embeddings.npz").vectors.shape == (24, 8)
    assert json.loads((made / "result.json").read_text())["node_type"] == "author"
    assert "classes" not in (made / "report.html").read_text().partition("Seconds")[0]
    said = run("eval", made / "embeddings.npz", "--dataset", "lib", "--protocol", "dmgi", code=2).stderr
    assert "lib has no labels" in said


def test_a_short_name_means_the_typed_set(run: Run, named: Path) -> None:
    said = run("train", "meow", "acm", *SMALL).stdout
    assert said.startswith("acm: 60 p, 24 a, 3 s; 240 edges   [liun-online/HeCo]\n")
    assert "published settings for this set: --recipe meow/acm" in said
    said = run("train", "--recipe", "meow/acm", *SMALL, "--set", "num_neighbors=5,6", "-o", "again").stdout
    assert "hetero/acm: 60 p" in said
    assert "published settings" not in said
    settings = gr.load_embeddings("again/embeddings.npz").settings
    assert settings["params"]["metapaths"] == ["pap", "psp"]
    assert settings["params"]["num_neighbors"] == [5, 6]
    assert settings["eval"] == {"protocol": "dmgi", "lr": 0.03, "weight_decay": 0.0}
    found = run("eval", "again/embeddings.npz", "--dataset", "acm", "--runs", 2, "--json")  # dmgi, of the recipe
    payload = json.loads(found.stdout)
    assert (payload["protocol"], payload["recipe"]) == ("dmgi", "meow/acm")
    assert [row["split"] for row in payload["rows"]] == ["2", "4"]
    assert payload["inputs"]["dataset"]["of"] == "card"


def test_published_numbers_stand_beside_the_labelled_nodes_of_their_split(run: Run, named: Path) -> None:
    path = named / "root" / "hetero" / "acm.npz"
    arrays = dict(np.load(path))
    for old, new in (("2", "20"), ("4", "60")):
        for part in ("train", "val", "test"):
            arrays[f"{part}_{new}"] = arrays.pop(f"{part}_{old}")
    np.savez(path, **arrays)
    run("train", "--recipe", "heco/acm", "--dim", 8, "--epochs", 2, "--set", "num_positives=2", "-o", "run")
    lines = run("eval", "run/embeddings.npz", "--dataset", "hetero/acm", "--runs", 2).stdout.splitlines()
    assert lines[2].split()[0] == "20"
    assert lines[2].endswith("88.13 / 88.56")
    assert lines[3].split()[0] == "60"
    assert lines[3].endswith("88.71 / 89.04")


# data


def test_show(run: Run, folder: Path) -> None:
    save(folder / "lib", text={"venue": ["a", "b", "c"]})
    said = run("data", "show", "lib").stdout
    assert "  paper      60 nodes, 3 features\n" in said
    assert "  labels     0: 20, 1: 20, 2: 20\n" in said
    assert "train_2 6, val_2 20, test_2 34" in said
    assert "meta-path  paper>author>paper: at most " in said
    found = json.loads(run("data", "show", "lib", "--json").stdout)
    assert found["relations"] == {"paper-by-author": 180, "paper-in-venue": 60}
    assert found["types"]["venue"] == {"nodes": 3, "features": 0, "isolated": 0}
    toml = folder / "lib" / "graph.toml"
    toml.write_text(toml.read_text().replace('"paper>author>paper", ', "").replace('["paper>venue>paper"]', "[]"))
    said = run("data", "show", "lib").stdout
    assert "proposed   paper>author>paper: at most " in said
    assert "proposed   paper>venue>paper: at most " in said


def test_show_a_named_set(run: Run, named: Path) -> None:
    said = run("data", "show", "hetero/acm").stdout
    assert "proposed   pap: at most" in said
    assert "licence    not stated" in said
    assert "2 nodes, 1 edge" in run("data", "show", "acm").stdout  # the other one


def test_convert_there_and_back(run: Run, named: Path) -> None:
    run("data", "convert", "hetero/acm", "acm-tables", "--format", "parquet")
    assert (named / "acm-tables" / "p-pa-a.parquet").is_file()
    graph = gr.read("acm-tables")
    assert torch.equal(graph.x["p"], library().x["paper"])
    assert graph.splits["test_4"].tolist() == library().splits["test_4"].tolist()
    run("data", "convert", "acm-tables", "again")
    assert (named / "again" / "p-pa-a.csv").is_file()
    assert "acm-tables is there already" in run("data", "convert", "hetero/acm", "acm-tables", code=2).stderr
    assert "written as a folder of tables" in run("data", "convert", "hetero/acm", "acm.npz", code=2).stderr


def test_lists(run: Run, folder: Path) -> None:
    methods = json.loads(run("list", "methods", "--needs", "hetero", "--json").stdout)["methods"]
    assert [row["name"] for row in methods] == ["meow", "adameow", "heco"]
    sets = json.loads(run("list", "datasets", "--needs", "hetero", "--json").stdout)["datasets"]
    assert {row["kind"] for row in sets} == {"hetero"}


# what is refused


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"metapaths": ["paper>writer>paper"]}, (), '"writer"'),
        ({"metapaths": ["paper>author"]}, (), "it must return to paper"),
        ({}, ("--set", "metapaths=author>paper>author"), "starts at author; the target type is paper"),
        ({}, ("--set", "target=papers"), 'no node type "papers". Did you mean "paper"'),
        ({"target": None, "y": None, "splits": {}}, (), "Nothing says which node type to embed"),
        ({}, ("--set", "num_neighbors=5,6,7"), "num_neighbors has 3 numbers for 2 meta-paths"),
        ({}, ("--features", "degree"), "--features does not apply to meow"),
        ({}, ("--directed",), "directed does not apply to a folder of relations"),
        ({}, ("--columns", "0,1"), "source does not apply to this kind of file"),
    ],
)
def test_bad_input(run: Run, folder: Path, changes: dict[str, Any], options: tuple[str, ...], message: str) -> None:
    save(folder / "lib", **changes)
    assert message in run("train", "meow", "lib", *SMALL, *options, code=2).stderr


def test_a_wrong_meta_path_is_told_by_show_too(run: Run, folder: Path) -> None:
    save(folder / "lib", metapaths=["paper>writer>paper"])
    assert '"writer"' in run("data", "show", "lib", code=2).stderr


def test_graphs_of_the_other_kind(run: Run, folder: Path) -> None:
    assert "edges.csv has no typed nodes and edges" in run("train", "meow", "edges.csv", code=2).stderr
    assert "a data set of kind graph, has no typed" in run("embed", "digits", "--method", "meow", code=2).stderr
    save(folder / "lib")
    assert "lib has several node types, which Graph cannot hold" in run("embed", "lib", code=2).stderr
    assert "lib has several node types" in run("train", "grace", "lib", code=2).stderr
    empty = folder / "lib" / "paper-in-venue.csv"
    empty.write_text("source,target\n")
    assert "the relation paper-in-venue is empty" in run("train", "meow", "lib", code=2).stderr


def test_protocols_that_do_not_fit(run: Run, folder: Path) -> None:
    save(folder / "lib")
    run("train", "meow", "lib", *SMALL)
    file = "runs/train-meow-lib/embeddings.npz"
    said = run("eval", file, "--dataset", "lib", "--protocol", "reconstruction", code=2).stderr
    assert "Protocol reconstruction needs edges between the embedded nodes" in said
    assert "rankme" in run("eval", file, "--dataset", "lib", "--protocol", "spectrum").stdout
    assert 'lib has no split "6"' in run("eval", file, "--dataset", "lib", "-p", "dmgi", "--split", "6", code=2).stderr
    assert "judges models of two views" in run("eval", "runs/train-meow-lib", code=2).stderr
    save(folder / "bare", splits={})
    assert "bare has no splits" in run("eval", file, "--dataset", "bare", "-p", "dmgi", code=2).stderr
    assert "micro-F1" in run("eval", file, "--dataset", "bare", "-p", "grace", "--runs", 1).stdout
    save(folder / "unlabelled", y=None, splits={})
    assert "unlabelled has no labels" in run("eval", file, "--dataset", "unlabelled", "-p", "dmgi", code=2).stderr


# pieces


def test_rows_of_a_type() -> None:
    graph = library()
    rows = TypedRows.of(graph)
    assert (rows.node_type, rows.num_nodes, rows.ids[1]) == ("paper", NODES, "p1")
    assert rows.degree.tolist() == [4] * NODES
    authors = TypedRows.of(graph, "author")
    assert (authors.y, authors.ids, int(authors.degree.sum())) == (None, None, 180)
    cites = gr.HeteroGraph({("p", "cites", "p"): [[0, 0], [1, 0]]})
    assert TypedRows.of(cites, "p").degree.tolist() == [3, 1]
    with pytest.raises(GraphrepError, match="Nothing says which node type"):
        TypedRows.of(cites)


def test_names_of_splits() -> None:
    plain = {"train": [0], "val": [1], "test": [2]}
    assert list(named_splits(library(splits=plain), "lib")) == [""]
    assert list(named_splits(library(), "lib")) == ["2", "4"]
    twice = named_splits(library(splits={**plain, "train": [3, 0, 3]}), "lib")
    assert twice[""][0].tolist() == [0, 3]
    assert list(named_splits(library(), "lib", only="4")) == ["4"]
    with pytest.raises(FileFormatError, match="lib has a split train_2 and no test_2"):
        named_splits(library(splits={"train_2": [0], "val_2": [1]}), "lib")
    with pytest.raises(FileFormatError, match="lib has no splits"):
        named_splits(library(splits={"val": [1]}), "lib")
    with pytest.raises(UnknownNameError, match='lib has no split "22"'):
        named_splits(library(), "lib", only="22")


# the public sets


@pytest.mark.slow
@pytest.mark.parametrize("name", ["acm", "dblp", "imdb", "freebase"])
def test_recipes_run_on_the_public_sets(data_root: Path, run: Run, folder: Path, name: str) -> None:
    where = ("--data-dir", data_root)
    run("train", "--recipe", f"meow/{name}", "--epochs", 1, *where, "-o", "run")
    found = json.loads(run("eval", "run/embeddings.npz", "--dataset", name, "--runs", 2, *where, "--json").stdout)
    assert [row["split"] for row in found["rows"]] == ["20", "40", "60"]
    assert all(row["test"] == 1000 for row in found["rows"])
    run("data", "convert", f"hetero/{name}", "tables", *where)
    graph, again = gr.load(f"hetero/{name}", data_root), gr.read("tables")
    assert dict(again.num_nodes) == dict(graph.num_nodes)
    for key, edges in graph.edge_index.items():
        assert torch.equal(again.edge_index[key], edges)
    assert again.y is not None
    assert torch.equal(again.y, graph.y)
