"""The drafted errors of reading and data, word for word with their numbers."""

from __future__ import annotations

import builtins
from pathlib import Path

import numpy as np
import pytest
import torch

import graphrep as gr
from graphrep import errors
from graphrep.data.split import check_leak
from graphrep.registry import METHODS, lookup


def message(error: type[Exception], act) -> str:
    with pytest.raises(error) as caught:
        act()
    return str(caught.value)


def test_not_an_edge_list(tmp_path: Path) -> None:
    lines = [f"p{i},x;p{i + 1}" for i in range(17)] + ["alice"] + [f"p{i};p{i + 1}" for i in range(4085)]
    path = tmp_path / "edges.csv"
    path.write_text("\n".join(lines) + "\n")
    assert message(errors.EdgeListError, lambda: gr.read(path, sep=",")) == (
        'edges.csv, line 18: expected 2 or 3 columns (source, target[, weight]), found 1: "alice".\n'
        'Try: --sep ";" if the file uses semicolons (it does on 4 102 of 4 103 lines).'
    )


def test_index_out_of_range() -> None:
    edges = torch.tensor([[0, 2708], [1, 3]])
    assert message(errors.IndexRangeError, lambda: gr.Graph(edges, x=torch.zeros(2708, 1))) == (
        "edge_index refers to node 2708 but x has 2708 rows (valid ids are 0..2707).\n"
        "Try: ids that start at 1 need edge_index - 1, or pass num_nodes=2709 if the last node has no features."
    )


def test_wrong_shape() -> None:
    assert message(errors.ShapeError, lambda: gr.Graph(torch.zeros(5278, 2, dtype=torch.int64))) == (
        "edge_index must have shape (2, E); got (5278, 2).\nTry: edge_index.t().contiguous()"
    )


def test_wrong_type() -> None:
    assert message(errors.DTypeError, lambda: gr.Graph(torch.zeros(2, 3))) == (
        "edge_index must hold integers; got torch.float32.\n"
        "Try: edge_index.long(). If these are weights, pass them as edge_weight."
    )


def with_nan(folder: Path) -> Path:
    x = np.zeros((2708, 20), dtype=np.float32)
    x[[5, 88, 1201], 17] = np.nan
    np.savez(folder / "graph.npz", edge_index=np.array([[0, 1], [1, 0]]), x=x)
    return folder / "graph.npz"


def test_nan_in_features(tmp_path: Path) -> None:
    assert message(errors.NonFiniteError, lambda: gr.read(with_nan(tmp_path))) == (
        "Feature column 17 has NaN in 3 of 2 708 rows (first: rows 5, 88, 1201).\n"
        "Try: --fill-nan 0, or graphrep data check graph.npz to see all."
    )


def test_filling_nan(tmp_path: Path) -> None:
    graph = gr.read(with_nan(tmp_path), fill_nan=7)
    assert graph.x[[5, 88, 1201], 17].tolist() == [7, 7, 7]
    assert int(graph.x.count_nonzero()) == 3


def test_unknown_name() -> None:
    table = {"lightgcl": METHODS["fastrp"]}
    assert message(errors.UnknownNameError, lambda: lookup("lightgcn", table, kind="method")) == (
        'Unknown method "lightgcn". Did you mean "lightgcl"?\nTry: graphrep list methods'
    )


@pytest.mark.parametrize(("name", "doing"), [("e.parquet", "Reading parquet"), ("e.feather", "Reading feather")])
def test_missing_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, doing: str) -> None:
    real = builtins.__import__

    def without_pyarrow(module: str, *args, **kwargs):
        if module.partition(".")[0] == "pyarrow":
            raise ImportError(module)
        return real(module, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_pyarrow)
    expected = f'{doing} needs pyarrow, which is not installed.\nTry: pip install "graphrep[parquet]"'
    assert message(errors.MissingExtraError, lambda: gr.read(tmp_path / name)) == expected
    if doing == "Reading parquet":
        (tmp_path / "z.parquet").write_bytes(b"PAR1")
        assert message(errors.MissingExtraError, lambda: gr.load_embeddings(tmp_path / "z.parquet")) == expected


def test_leaky_split() -> None:
    train = np.stack([np.arange(600), np.arange(600) + 1])
    fresh = np.stack([np.arange(310), np.arange(310) + 700])
    test = np.concatenate([train[::-1, :217], fresh], axis=1)
    assert message(errors.LeakySplitError, lambda: check_leak(train, test)) == (
        "217 of 527 test edges also occur in the training edges (reversed direction).\n"
        "Try: graphrep data split --undirected; pass --allow-leak to go on anyway."
    )
    assert "edges." in message(errors.LeakySplitError, lambda: check_leak(train, train[:, :3]))
    check_leak(train, fresh)
