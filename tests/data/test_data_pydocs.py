"""The set built from docstrings: parsing of numpydoc, the walk through packages, and the graph itself."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import graphrep as gr
from graphrep.data._numpydoc import see_also, summary
from graphrep.data._public_api import Documented, documented
from graphrep.data.cards import card
from graphrep.data.embedded_pydocs import pydocs_with_classes, references, subpackage

# docstrings


@pytest.mark.parametrize(
    ("doc", "name", "text"),
    [
        ("Short.\n\nLong.", "f", "Short."),
        ("\n    Two\n    lines.\n\n    More", "f", "Two lines."),
        ("f(x, /, out=None)\n\nText.", "f", "Text."),
        ("f(x)\nf(x, y)\n\nText.", "f", "Text."),
        ("y = pkg.f(x)\n\nText.", "f", "Text."),
        ("f(x, y) -> z\nText below.", "f", "Text below."),
        ("Class(x, *,\n      y=3)\n\nText.", "Class", "Text."),
        (".. deprecated:: 1.0\n\nText.", "f", "Text."),
        ("f(x)", "f", ""),
        ("", "f", ""),
    ],
)
def test_summaries(doc: str, name: str, text: str) -> None:
    assert summary(doc, name) == text


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("mean\nstd", ["mean", "std"]),
        ("mean : The mean.\nstd : Std,\n    of a : sample.", ["mean", "std"]),
        ("mean, np.std : Both.", ["mean", "np.std"]),
        ("mean :\n    Text.", ["mean"]),
        (":func:`mean`, :py:class:`~pkg.Std`", ["mean", "pkg.Std"]),
        (":obj:`the mean <pkg.mean>` is one.", ["pkg.mean"]),
        ("`mean` and `std` are related.", ["mean", "std"]),
        ("* mean\n* std : x", ["mean", "std"]),
        ("This is a sentence about mean.", []),
        ("mean()\nmean", ["mean"]),
        ("mean\n\nNotes\n-----\nstd : not this", ["mean"]),
        ("mean\n.. note:: std", ["mean"]),
    ],
)
def test_see_also_sections(body: str, names: list[str]) -> None:
    assert see_also(f"Text.\n\nSee Also\n--------\n{body}\n") == names
    assert see_also(f"Text.\n\nSee also\n========\n{body}\n") == names
    assert see_also(f"Text.\n\nOther\n-----\n{body}") == []


# the walk


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package with a re-export, a broken module, a noisy one, tests, and objects that must not be listed."""
    root = tmp_path / "walkme"
    (root / "sub").mkdir(parents=True)
    (root / "tests").mkdir()
    (root / "__init__.py").write_text("from json import dumps\nfrom walkme.sub._private import shared\nX = 3\n")
    (root / "sub" / "__init__.py").write_text(
        "__all__ = ['shared', 'gone', 'mine']\nfrom walkme.sub._private import shared\n"
        "def mine():\n    '''Mine.\n\n    See Also\n    --------\n    shared\n"
        "    walkme.plain.Thing\n    sub.mine\n    '''\n"
    )
    (root / "sub" / "_private.py").write_text("def shared():\n    '''Shared.'''\ndef hidden():\n    '''No.'''\n")
    (root / "plain.py").write_text(
        "import warnings\nwarnings.warn('old', DeprecationWarning)\nprint('hello')\n"
        "class Thing:\n    '''A thing.'''\ndef bare(): pass\ndef _f():\n    '''No.'''\n"
        "class Odd:\n    def __getattr__(self, name): raise RuntimeError(name)\n    def __call__(self): pass\n"
        "odd = Odd()\n"
    )
    (root / "broken.py").write_text("raise SystemExit('not here')\n")
    for name in ("tests/__init__.py", "tests/test_a.py", "test_b.py", "conftest.py", "_c.py", "setup.py"):
        (root / name).write_text("raise AssertionError('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.split(".")[0] == "walkme"]:
        monkeypatch.delitem(sys.modules, name)
    return "walkme"


def test_the_walk_lists_the_public_api(package: str, capsys: pytest.CaptureFixture[str]) -> None:
    entries = documented([package, "no_such_package"])
    assert [entry.path for entry in entries] == ["walkme.plain.Thing", "walkme.shared", "walkme.sub.mine"]
    assert entries[1].paths == ("walkme.shared", "walkme.sub.shared")
    assert not any("test" in name for name in sys.modules if name.startswith("walkme"))
    assert capsys.readouterr().out == ""
    edges = references(entries)
    assert edges.T.tolist() == [[2, 1], [2, 0]]


def test_names_are_resolved_from_the_inside_out() -> None:
    doc = "Text.\n\nSee Also\n--------\n{}\n"
    entries = [
        Documented("p.a.f", ("p.a.f",), "p.a", doc.format("g\na.g\np.g\nnp.h\nmissing\nf")),
        Documented("p.a.g", ("p.a.g",), "p.a", "Text."),
        Documented("p.g", ("p.g",), "p", "Text."),
        Documented("numpy.h", ("numpy.h",), "numpy", "Text."),
    ]
    assert references(entries).T.tolist() == [[0, 1], [0, 1], [0, 2], [0, 3]]
    assert references(entries[1:]).shape == (2, 0)


def test_labels_are_subpackages() -> None:
    assert subpackage(Documented("numpy.mean", (), "numpy", "")) == "numpy"
    assert subpackage(Documented("scipy.sparse.linalg.eigs", (), "scipy.sparse.linalg._eigen", "")) == "scipy.sparse"
    assert subpackage(Documented("networkx.Graph", (), "networkx.classes.graph", "")) == "networkx.classes"


# the graph


@pytest.fixture(scope="module")
def graph() -> gr.Graph:
    return gr.load("pydocs")


def neighbours(graph: gr.Graph, name: str) -> set[str]:
    row = graph.ids.tolist().index(name)
    return set(graph.ids[graph.edge_index[0][graph.edge_index[1] == row].numpy()].tolist())


def test_it_has_about_the_size_of_its_card(graph: gr.Graph) -> None:
    entry = card("pydocs")
    assert entry.approximate
    for found, stated in (
        (graph.num_nodes, entry.nodes),
        (graph.num_edges // 2, entry.edges),
        (graph.num_features, entry.features),
        (graph.num_classes, entry.classes),
    ):
        assert 0.7 * stated < found < 1.4 * stated


def test_it_says_what_the_documentation_says(graph: gr.Graph) -> None:
    row = graph.ids.tolist().index("numpy.linalg.svd")
    assert graph.text[row] == "Singular Value Decomposition."
    assert {"scipy.linalg.svd", "scipy.linalg.svdvals"} <= neighbours(graph, "numpy.linalg.svd")
    assert "sklearn.cluster.MiniBatchKMeans" in neighbours(graph, "sklearn.cluster.KMeans")
    assert "networkx.pagerank" in neighbours(graph, "networkx.google_matrix")
    same = [name for name in graph.ids.tolist() if name.startswith("numpy.linalg.")]
    rows = [graph.ids.tolist().index(name) for name in same if name.count(".") == 2]
    assert len(set(graph.y[rows].tolist())) == 1


def test_its_parts_fit(graph: gr.Graph) -> None:
    assert all(graph.text)
    assert graph.ids.tolist() == sorted(graph.ids.tolist())
    assert not any(".test" in name or "._" in name for name in graph.ids.tolist())
    assert "singular" in graph.feature_names
    norms = torch.sparse.sum(graph.x.to_sparse_coo() ** 2, dim=1).to_dense()
    assert bool(((norms - 1).abs() < 1e-5).logical_or(norms == 0).all())
    report = gr.data.inspect(graph)
    assert report.ok
    assert report.one_way == report.self_loops == report.duplicates == 0


def test_an_archive_keeps_the_texts(graph: gr.Graph, tmp_path: Path) -> None:
    gr.write(graph, tmp_path / "p.npz")
    with np.load(tmp_path / "p.npz") as stored:
        joined, offsets = stored["text_bytes"].tobytes(), stored["text_offsets"]
    texts = [joined[a:b].decode() for a, b in itertools.pairwise(offsets)]
    assert texts == graph.text.tolist()
    assert gr.data.inspect(tmp_path / "p.npz").texts == graph.num_nodes


def test_it_is_the_same_each_time(graph: gr.Graph) -> None:
    again, classes = pydocs_with_classes()
    assert classes[int(again.y[again.ids.tolist().index("numpy.linalg.svd")])] == "numpy.linalg"
    assert len(classes) == graph.num_classes
    assert again.ids.tolist() == graph.ids.tolist()
    assert torch.equal(again.edge_index, graph.edge_index)
    assert torch.equal(again.x.values(), graph.x.values())
    assert np.array_equal(again.text, graph.text)
