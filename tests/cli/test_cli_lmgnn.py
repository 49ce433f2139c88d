"""graphrep train lmgnn, embed --cold and bench lmgnn, on a small graph and a small BERT without training."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("transformers")

from graphrep.cli.texting.fitting import StageProgress
from graphrep.data.embeddings import load_embeddings
from graphrep.nn import small_bert

Run = Callable[..., Any]
TOPICS = {"fruit": "apple pear plum fig", "cars": "wheel engine road brake", "music": "song drum choir flute"}
FAST = ("--epochs", "6", "--dim", "8", "--set", "lm_batch_size=16", "--set", "num_neighbors=3,3", "--seed", "1")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory of the kind that transformers reads."""
    path = tmp_path_factory.mktemp("models") / "tiny"
    small_bert(list(TOPICS.values()), vocab_size=64, dim=16, num_layers=2, num_heads=2, epochs=0, path=path)
    return path


@pytest.fixture
def texted(folder: Path) -> Path:
    """cites.csv and papers.csv: 20 papers of each topic, cited within it; one paper has no citation, one no text."""
    rng = np.random.default_rng(0)
    papers, cites = ["paper,abstract,label"], ["from,to"]
    for topic, words in TOPICS.items():
        for number in range(20):
            papers.append(f'{topic}{number},"{" ".join(rng.permutation(words.split())[:3])}",{topic}')
            cites += [f"{topic}{number},{topic}{other}" for other in rng.integers(20, size=3) if other != number]
    papers += ["alone,apple pear,fruit", "silent,,cars"]
    cites.append("silent,cars3")
    (folder / "papers.csv").write_text("\n".join(papers) + "\n")
    (folder / "cites.csv").write_text("\n".join(cites) + "\n")
    return folder


def train(run: Run, bert: Path, *more: object, code: int = 0) -> Any:
    text = ("cites.csv", "--text", "papers.csv:abstract", "--lm", bert)
    return run("train", "lmgnn", *text, *FAST, *more, code=code)


def test_classes_from_a_table_of_texts(run: Run, texted: Path, bert: Path) -> None:
    said = train(run, bert, "--stages", "lm,gnn,joint", "--live-nodes", "4", "--report").stdout
    assert "1 nodes of papers.csv have no edge" in said
    assert "tokens" in said
    assert "TF-IDF, logistic regression" in said
    made = texted / "runs" / "train-lmgnn-cites"
    result = json.loads((made / "result.json").read_text())
    assert result["classes"] == ["cars", "fruit", "music"]
    assert list(result["stages"]) == ["lm", "gnn", "joint"]
    assert result["num_nodes"] == 62
    assert result["scores"][0]["title"] == "lmgnn (lm,gnn,joint)"
    predicted = rows(made / "predictions.csv")
    assert len(predicted) == 62
    assert {row["class"] for row in predicted} <= set(TOPICS)
    assert {row["part"] for row in predicted} == {"train", "val", "test"}
    vectors = load_embeddings(made / "embeddings.npz")
    assert vectors.vectors.shape == (62, 8)
    assert not (made / "checkpoint").exists()
    page = (made / "report.html").read_text()
    assert "Classes of test nodes" in page
    assert "Stage joint" in page
    stages = {json.loads(line)["stage"] for line in (made / "metrics.jsonl").read_text().splitlines()}
    assert stages == {"lm", "gnn", "joint"}


def test_links_and_their_suggestions(run: Run, texted: Path, bert: Path) -> None:
    options = ("--task", "link", "--stages", "gnn", "--set", "num_negatives=16", "--set", "links_per_step=64")
    said = train(run, bert, *options, "--report", "-o", "runs/links").stdout
    assert "each test link among 500 pairs" in said
    assert "MRR" in said
    listed = rows(texted / "runs" / "links" / "missing_links.csv")
    linked = {frozenset(row.values()) for row in rows(texted / "cites.csv")}
    result = json.loads((texted / "runs" / "links" / "result.json").read_text())
    assert result["parts"]["train"] + result["parts"]["val"] + result["parts"]["test"] == len(linked)
    seen = sum(frozenset((row["node"], row["other"])) in linked for row in listed)
    assert 0 < seen <= 2 * result["parts"]["test"]  # links that training has seen are left out, test links are not
    assert all(row["node"] != row["other"] for row in listed)
    assert "Missing links" in (texted / "runs" / "links" / "report.html").read_text()


def test_cold_texts(run: Run, texted: Path, bert: Path) -> None:
    train(run, bert, "--stages", "gnn", "-o", "runs/a")
    (texted / "new.csv").write_text('id,text\nx,"apple plum"\ny,\n')
    said = run("embed", "--cold", "new.csv", "--model", "runs/a").stdout
    assert "only the text speaks" in said
    assert "1 texts are empty" in said
    assert load_embeddings(texted / "new.embeddings.npz").vectors.shape == (2, 8)
    scores = rows(texted / "new.scores.csv")
    assert [row["id"] for row in scores] == ["x", "y"]
    assert scores[0]["class"] in TOPICS
    found = json.loads(
        run("embed", "--cold", "papers.csv:abstract", "--model", "runs/a", "-o", "p.csv", "--json").stdout
    )
    assert found["num_texts"] == 62
    assert len(rows(texted / "p.csv")) == 62


def test_cold_texts_of_a_link_model(run: Run, texted: Path, bert: Path) -> None:
    train(run, bert, "--task", "link", "--stages", "gnn", "-o", "runs/b")
    (texted / "new.csv").write_text('id,text\nx,"apple plum"\n')
    run("embed", "--cold", "new.csv", "--model", "runs/b")
    scores = rows(texted / "new.scores.csv")
    assert [row["rank"] for row in scores] == ["1", "2", "3", "4", "5"]
    assert float(scores[0]["score"]) >= float(scores[4]["score"])


def test_without_a_model_it_says_what_it_trains(run: Run, texted: Path) -> None:
    said = run("train", "lmgnn", "cites.csv", "--text", "papers.csv:abstract", "--stages", "gnn", *FAST).stdout
    assert "a small BERT is built and trained from scratch" in said
    assert "far weaker than a pretrained model" in said.replace("\n", " ")


def test_an_interrupted_run_ends_as_a_calm_one(
    run: Run, texted: Path, bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--stages", "lm,gnn,joint", "--live-nodes", "8", "--checkpoint", "0")
    train(run, bert, *options, "-o", "runs/calm")
    done: list[int] = []
    before = StageProgress.epoch_done

    def broken(self: StageProgress, log: Any) -> None:
        before(self, log)
        done.append(1)
        if len(done) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(StageProgress, "epoch_done", broken)
    train(run, bert, *options, "-o", "runs/cut", code=1)
    monkeypatch.setattr(StageProgress, "epoch_done", before)
    assert (texted / "runs" / "cut" / "checkpoint").is_dir()
    run("train", "--resume", "runs/cut")
    calm, cut = (load_embeddings(texted / "runs" / name / "embeddings.npz").vectors for name in ("calm", "cut"))
    assert np.array_equal(calm, cut)
    assert "is finished" in run("train", "--resume", "runs/cut").stdout


def test_dry_run_and_config(run: Run, texted: Path, bert: Path) -> None:
    plan = json.loads(train(run, bert, "--dry-run", "--json", "--save-config", "x.toml").stdout)
    assert plan["estimate"]["tokens"] > 0
    assert plan["plan"]["params"]["lm"] == str(bert)
    assert not (texted / "runs").exists()
    train(run, bert, "--stages", "gnn", "--save-config", "x.toml", "-o", "runs/a")
    run("train", "--config", "x.toml", "-o", "runs/b")
    first, second = (load_embeddings(texted / "runs" / name / "embeddings.npz").vectors for name in "ab")
    assert np.array_equal(first, second)


def test_typed_folder_with_a_column_of_its_own(run: Run, texted: Path, bert: Path) -> None:
    place = texted / "library"
    place.mkdir()
    lines = [f'{row["paper"]},"{row["abstract"]}",{row["label"]}' for row in rows(texted / "papers.csv")]
    (place / "nodes-paper.csv").write_text("paper,abstract,label\n" + "\n".join(lines) + "\n")
    written = [f"{name} {number % 4},{name}{number}" for name in TOPICS for number in range(20)]
    (place / "author-writes-paper.csv").write_text("author,paper\n" + "\n".join(written) + "\n")
    said = run("train", "lmgnn", "library", "--text", "abstract", "--lm", bert, "--stages", "gnn", *FAST).stdout
    assert "texts of paper: 62" in said
    result = json.loads((texted / "runs" / "train-lmgnn-library" / "result.json").read_text())
    assert result["num_nodes"] == 62


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("cites.csv", "--lm", "{bert}"), "needs a text per node"),
        (("cites.csv", "--text", "papers.csv:body", "--lm", "{bert}"), 'no column "body"|body'),
        (("cites.csv", "--text", "nowhere.csv:body"), "there is no file nowhere.csv"),
        (("cites.csv", "--text", "abstract"), "is no file"),
        (("cites.csv", "--text", "edges.csv:times", "--lm", "{bert}"), "No node of the graph|two|ids"),
        (("cites.csv", "--text", "papers.csv:abstract", "--lm", "nowhere"), "no such folder"),
        (("cites.csv", "--text", "papers.csv:abstract", "--lm", "{bert}", "--stages", "bert"), "bert"),
        (("cites.csv", "--text", "papers.csv:abstract", "--lm", "{bert}", "--set", "lm_lrr=1"), "lm_lr"),
        (("cites.csv", "--text", "papers.csv:abstract", "--lm", "{bert}", "--set", "text_length=500"), "positions for"),
        (("cites.csv", "--text", "papers.csv:abstract", "--lm", "{bert}", "--shares", "50/50"), "three numbers"),
        ((), "No graph was given"),
    ],
)
def test_bad_input(run: Run, texted: Path, bert: Path, arguments: tuple[str, ...], said: str) -> None:
    found = run("train", "lmgnn", *(part.replace("{bert}", str(bert)) for part in arguments), code=2)
    assert any(part in found.stderr for part in said.split("|"))
    assert "Try:" in found.stderr


def test_options_of_others(run: Run, texted: Path) -> None:
    assert "--lm is an option of lmgnn" in run("train", "grace", "cites.csv", "--lm", "x", code=2).stderr
    assert "--cold needs a trained model" in run("embed", "--cold", "papers.csv:abstract", code=2).stderr
    assert "in no graph" in run("embed", "cites.csv", "--cold", "papers.csv", code=2).stderr


def test_lists_and_citations(run: Run) -> None:
    listed = json.loads(run("list", "methods", "--needs", "text", "--json").stdout)["methods"]
    assert {row["name"] for row in listed} == {"lmgnn", "textgraph"}
    assert "2206.10781" in run("cite", "lmgnn").stdout
    assert "GraphCLIP" in run("cite", "textgraph").stdout
    recipes = json.loads(run("list", "recipes", "--json").stdout)["recipes"]
    assert {row["name"] for row in recipes if row["method"] == "lmgnn"} == {
        f"lmgnn/{name}"
        for name in (
            "cora_text", "m10_titles", "imdb_text", "webkb_cornell", "webkb_texas", "webkb_washington", "pydocs",
        )
    }  # fmt: skip


def test_zero_shot_method_by_the_command(run: Run, texted: Path, bert: Path) -> None:
    options = ("--set", f"text_encoder={bert}", "--epochs", "1", "--dim", "8", "--set", "batch_size=16")
    run("train", "textgraph", "cites.csv", "--text", "papers.csv:abstract", *options)
    assert load_embeddings(texted / "runs" / "train-textgraph-cites" / "embeddings.npz").vectors.shape == (62, 16)


def test_bench(run: Run, texted: Path, bert: Path) -> None:
    from graphrep import Graph, read
    from graphrep.data.writers import write

    graph: Graph = read("cites.csv")
    texts = {row["paper"]: row for row in rows(texted / "papers.csv")}
    names = [str(name) for name in graph.ids]
    y = [sorted(TOPICS).index(texts[name]["label"]) for name in names]
    graph = graph.replace(text=[texts[name]["abstract"] for name in names], y=y)
    write(graph, "small.npz")
    fast = [part for option in ("epochs=4", "dim=8", "lm_batch_size=16", f"lm={bert}") for part in ("--set", option)]
    fast += ["--set", "protocols=node10,link"]
    asked = ("bench", "lmgnn", "--datasets", "small.npz", "--runs", "2", "-o", "b.json", *fast)
    said = run(*asked, "--methods", "tfidf,frozen,stage1,glem").stdout
    table = (texted / "b.md").read_text()
    assert "frozen LM + GCN" in table
    assert "LM trained + GCN: text alone" in table
    assert "language model: tiny" in table
    assert said.count("(+") + said.count("(-") > 4  # paired differences
    found = json.loads((texted / "b.json").read_text())["rows"]
    assert len(found) == 12
    by_label = {row["label"]: row["scores"] for row in found}
    assert set(by_label["TF-IDF + GCN"]) == {"node10", "link"}
    assert "node10" in by_label["GLEM"]
    assert "link" not in by_label["GLEM"]  # it learns classes
    again = run(*asked, "--methods", "tfidf,frozen,stage1,glem")
    assert "12 of them in b.json already" in again.stdout
    assert 'no protocol "edge"' in run(*asked, "--set", "protocols=edge", code=2).stderr
