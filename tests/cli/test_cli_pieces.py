"""The parts below the commands: nodes by name, nearest rows, held-out links, the report page."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from graphrep.cli.console import Console
from graphrep.cli.links import hide_links, pair_scores, uniform_negatives
from graphrep.cli.nodes import align_labels, find_node, id_array, read_labels
from graphrep.cli.progress import PowerProgress, Stop, terminal_bar
from graphrep.cli.report import Chart, Report, Table, make_picture
from graphrep.cli.report.page import render
from graphrep.cli.report.picture import MAX_GROUPS, pca
from graphrep.cli.training import EpochProgress
from graphrep.errors import FileFormatError, GraphrepError, MissingLabelsError, UnknownNameError
from graphrep.train import EpochLog


def random_graph(n: int = 40, links: int = 120, seed: int = 0) -> np.ndarray:
    pairs = np.random.default_rng(seed).integers(0, n, size=(2, links))
    pairs = np.unique(np.sort(pairs[:, pairs[0] != pairs[1]], axis=0), axis=1)
    return np.concatenate([pairs, pairs[::-1]], axis=1)


def test_find_node_by_number_and_name() -> None:
    assert find_node("7", np.array([5, 7])) == 1
    assert find_node("7", np.array(["a", "7"])) == 1
    with pytest.raises(UnknownNameError, match='No node "8" among 2: ids are integers from 5 to 7'):
        find_node("8", np.array([5, 7]))
    with pytest.raises(UnknownNameError, match='did you mean "Grace Hopper"'):
        find_node("grace hopper", np.array(["Alan Turing", "Grace Hopper"]))
    with pytest.raises(UnknownNameError, match='did you mean "alice"'):
        find_node("alcie", np.array(["bob", "alice"]))
    assert id_array(None, 3).tolist() == [0, 1, 2]


def test_hidden_links_are_gone_in_both_directions() -> None:
    edges = random_graph()
    hidden, keep = hide_links(edges, 40, 0.2, seed=1)
    rest = {tuple(pair) for pair in edges[:, keep].T.tolist()}
    assert hidden.shape[1] == round(0.2 * edges.shape[1] / 2)
    for a, b in hidden.T.tolist():
        assert a < b
        assert (a, b) not in rest
        assert (b, a) not in rest
    assert keep.sum() + 2 * hidden.shape[1] == edges.shape[1]
    with pytest.raises(GraphrepError, match="leaves nothing"):
        hide_links(edges, 40, 1.0, seed=1)


def test_negatives_are_no_edges_and_distinct() -> None:
    edges = random_graph()
    known = {tuple(pair) for pair in edges.T.tolist()}
    room = 40 * 39 // 2 - edges.shape[1] // 2
    pairs = uniform_negatives(edges, 40, room, seed=0)
    assert len({tuple(p) for p in pairs.T.tolist()}) == room
    assert not known & {tuple(p) for p in pairs.T.tolist()}
    assert (pairs[0] < pairs[1]).all()
    with pytest.raises(GraphrepError, match="only"):
        uniform_negatives(edges, 40, room + 1, seed=0)


def test_pair_scores() -> None:
    z = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 0.0]])
    pairs = np.array([[0, 0], [1, 2]])
    assert pair_scores(z, pairs).tolist() == [1.0, 0.0]
    assert pair_scores(z, pairs, score="dot").tolist() == [2.0, 0.0]
    with pytest.raises(UnknownNameError):
        pair_scores(z, pairs, score="nearness")


def test_labels_file(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("id,label\na,10\nb,2\nd,2\n")
    y, classes = align_labels(np.array(["a", "b", "c"]), read_labels(path), source="labels.csv")
    assert y.tolist() == [1, 0, -1]
    assert classes == ["2", "10"]
    path.write_text("a;x|y\nb;y\n")
    y, classes = align_labels(np.array(["b", "a"]), read_labels(path), source="labels.csv")
    assert y.tolist() == [[0, 1], [1, 1]]
    with pytest.raises(MissingLabelsError, match='ids of the embedding look like "7"'):
        align_labels(np.array([7]), read_labels(path), source="labels.csv")
    path.write_text("a,b,c\n")
    with pytest.raises(FileFormatError, match="line 1: expected 2 columns"):
        read_labels(path)
    with pytest.raises(FileFormatError, match="Cannot read"):
        read_labels(tmp_path / "none.csv")


def test_pca_against_the_dense_decomposition() -> None:
    z = np.random.default_rng(0).standard_normal((300, 6)) * np.array([5, 3, 1, 1, 1, 1])
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    _, _, axes = np.linalg.svd(unit - unit.mean(0), full_matrices=False)
    expected = (unit - unit.mean(0)) @ axes[:2].T
    np.testing.assert_allclose(np.abs(pca(z)), np.abs(expected), atol=1e-9)
    assert pca(np.ones((4, 1))).shape == (4, 2)


@pytest.mark.parametrize("n", [1, 2, 63])
def test_picture_of_small_graphs(n: int) -> None:
    z = np.random.default_rng(0).standard_normal((n, 3))
    picture = make_picture(z, list(range(n)), degree=np.arange(n))
    assert picture is not None
    assert picture.xy.min() >= 0
    assert picture.xy.max() <= 1
    assert len(picture.packed()["ids"]) == n


def test_no_picture_of_nothing() -> None:
    assert make_picture(np.zeros((0, 3)), []) is None


def test_many_classes_become_other() -> None:
    z = np.random.default_rng(0).standard_normal((200, 3))
    picture = make_picture(z, list(range(200)), labels=np.arange(200) % 100)
    assert picture is not None
    assert len(picture.groups) == MAX_GROUPS
    assert picture.groups[-1] == "other"
    with pytest.raises(UnknownNameError, match="projection"):
        make_picture(z, list(range(200)), projection="isomap")


def test_page_escapes_everything_and_loads_nothing() -> None:
    evil = "</script><img src=x onerror=alert(1)>\u2028"
    picture = make_picture(np.eye(3), [evil, "b", "c"], labels=np.array([evil, "x", "y"]))
    table = Table(evil, [evil], [[evil, 3, 0.5]], note=evil, shade=True)
    page = render(
        Report(
            evil,
            evil,
            {evil: [(evil, evil)]},
            {evil: evil},
            evil,
            [table],
            picture,
            evil,
            [Chart(evil, "<svg></svg>", evil)],
        )
    )
    assert "<img" not in page
    assert page.count("</script>") == 2
    assert page.count("<svg></svg>") == 1
    assert not re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(?:https?:)?//""", page)
    data = re.search(r'id="points">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    packed = json.loads(data.group(1))
    assert sorted(packed["names"]) == sorted([evil, "b", "c"])


def test_powers_on_a_terminal(terminal: Callable[[], io.StringIO]) -> None:
    stderr = terminal()
    with PowerProgress(2, None, Stop(saves=False), show=True) as progress:
        for done in (250_000, 500_000, 1_000_000):
            progress(1, done, 1_000_000)
    said = stderr.getvalue()
    assert "power 1 of 2" in said
    assert " M edges/s" in said
    assert "ETA" in said


def test_epochs_on_a_terminal(terminal: Callable[[], io.StringIO]) -> None:
    stderr = terminal()
    lines: list[dict[str, Any]] = []
    folder: Any = SimpleNamespace(metrics=lambda **values: lines.append(values))
    with EpochProgress(Console(), folder) as progress:
        progress.start(SimpleNamespace(epochs=3), 0)
        for epoch in (1, 2, 3):
            progress.epoch_done(EpochLog(epoch, 2.5, {}, 0.1, 1.0, 0.001))
    said = stderr.getvalue()
    assert "epoch 3/3  loss 2.5000" in said
    assert " s/epoch" in said
    assert [line["epoch"] for line in lines] == [1, 2, 3]


def test_no_bar_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert terminal_bar(str) is None


@pytest.mark.parametrize(("speed", "shown"), [(1 / 104, "104 s/epoch"), (0.5, "2 s/epoch"), (300.0, "0.0033 s/epoch")])
def test_rate_of_epochs(speed: float, shown: str) -> None:
    from graphrep.cli.training import _seconds_an_epoch

    assert _seconds_an_epoch(speed) == shown
