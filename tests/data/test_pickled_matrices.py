"""Sparse matrices out of pickles of every protocol; nothing in a file is run, whatever it asks for."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from graphrep.data.pickled_matrices import interactions_in_pickles, is_pickle, matrix_in_pickle
from graphrep.errors import FileFormatError, GraphrepError, ShapeError


def _matrix(kind: str = "coo", form: str = "matrix", dtype: Any = np.float32) -> Any:
    dense = np.random.default_rng(0).integers(0, 3, (5, 7)).astype(dtype)
    return getattr(sp, f"{kind}_{form}")(dense)


def _dump(path: Path, value: object, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", ["coo", "csr", "csc"])
def test_matrices_come_back_from_every_protocol(tmp_path: Path, kind: str, protocol: int) -> None:
    for form in ("matrix", "array"):
        for dtype in (np.float32, np.float64, np.int64, np.uint8, bool):
            given_matrix = _matrix(kind, form, dtype)
            found = matrix_in_pickle(_dump(tmp_path / "m.pkl", given_matrix, protocol))
            assert np.array_equal(found.toarray(), given_matrix.toarray())


def test_older_names_of_the_same_things_are_known(tmp_path: Path) -> None:
    raw = pickle.dumps(_matrix(), protocol=2)
    old = raw.replace(b"cscipy.sparse._coo\n", b"cscipy.sparse.coo\n").replace(b"numpy._core.", b"numpy.core.")
    assert old != raw
    (tmp_path / "m.pkl").write_bytes(old)
    assert np.array_equal(matrix_in_pickle(tmp_path / "m.pkl").toarray(), _matrix().toarray())


class _Evil:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_is_run(tmp_path: Path, protocol: int) -> None:
    target = tmp_path / "was_here"
    evil = _dump(tmp_path / "evil.pkl", _Evil(target), protocol)
    with pytest.raises(FileFormatError, match="asks for") as caught:
        matrix_in_pickle(evil)
    assert not target.exists()
    assert "save_npz" in (caught.value.hint or "")
    with pytest.raises(FileFormatError, match="asks for"):
        matrix_in_pickle(_dump(tmp_path / "hidden.pkl", {"m": _matrix(), "row": _Evil(target)}, protocol))
    assert not target.exists()
    pickle.loads(evil.read_bytes())  # what the reader must not do
    assert target.exists()


@pytest.mark.parametrize(
    "value", [np.arange(3), {"a": 1}, [1, 2], np.array([{}], dtype=object), 5, sp.dok_matrix((2, 2)), None]
)
def test_other_things_are_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(FileFormatError, match="runs nothing in it"):
        matrix_in_pickle(_dump(tmp_path / "x.pkl", value))


def test_objects_in_an_array_are_refused(tmp_path: Path) -> None:
    matrix = _matrix()
    matrix.data = np.array(["a"] * matrix.nnz, dtype=object)
    with pytest.raises(FileFormatError, match=r"dtype|objects"):
        matrix_in_pickle(_dump(tmp_path / "x.pkl", matrix))


def test_places_outside_the_shape_are_refused(tmp_path: Path) -> None:
    matrix = _matrix()
    matrix.row = matrix.row + 100
    with pytest.raises(FileFormatError, match="runs nothing"):
        matrix_in_pickle(_dump(tmp_path / "x.pkl", matrix))


_WHOLE = pickle.dumps(_matrix(), protocol=4)


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, len(_WHOLE) - 1), byte=st.integers(0, 255), cut=st.booleans())
def test_damage_gives_a_typed_error_or_a_matrix(
    tmp_path_factory: pytest.TempPathFactory, place: int, byte: int, cut: bool
) -> None:
    raw = bytearray(_WHOLE)
    raw[place] = byte
    path = tmp_path_factory.mktemp("damage") / "m.pkl"
    path.write_bytes(bytes(raw[:place]) if cut else bytes(raw))
    try:
        found = matrix_in_pickle(path)
    except GraphrepError:
        return
    assert found.ndim == 2


def test_the_parts_of_a_data_set_lie_beside_each_other(tmp_path: Path) -> None:
    train, test = _matrix(), sp.coo_matrix(([1.0], ([4], [6])), shape=(5, 7))
    _dump(tmp_path / "trnMat.pkl", train)
    _dump(tmp_path / "tstMat.pkl", test)
    for path in (tmp_path, tmp_path / "trnMat.pkl", tmp_path / "tstMat.pkl"):
        assert is_pickle(path)
        seen = interactions_in_pickles(path)
        assert (seen.num_users, seen.num_items, seen.parts) == (5, 7, ("train", "test"))
        assert np.array_equal(seen.csr("train").to_scipy().toarray(), train.toarray())
        assert np.array_equal(seen.csr("test").to_scipy().toarray(), test.toarray())
    alone = interactions_in_pickles(_dump(tmp_path / "mine.pkl", train))
    assert alone.part is None
    assert alone.name == "mine"
    _dump(tmp_path / "tstMat.pkl", sp.coo_matrix((2, 2)))
    with pytest.raises(ShapeError, match=r"trnMat.pkl \(5, 7\), tstMat.pkl \(2, 2\)"):
        interactions_in_pickles(tmp_path)
    (tmp_path / "trnMat.pkl").unlink()
    with pytest.raises(FileFormatError, match="no training matrix"):
        interactions_in_pickles(tmp_path / "tstMat.pkl")
