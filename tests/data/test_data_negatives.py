"""Files of each positive's own negatives: there and back, what is checked, and hostile files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from graphrep.data import read_negatives, write_negatives
from graphrep.errors import DTypeError, FileFormatError, GraphrepError, IndexRangeError, ShapeError

PAIRS = torch.tensor([[[0, 2], [3, 1], [0, 4]], [[5, 1], [2, 1], [3, 5]]])
POSITIVES = torch.tensor([[0, 1], [1, 5]])


@pytest.mark.parametrize("kind", ["<i4", ">i8", "u2", "i1"])
@pytest.mark.parametrize("fortran", [False, True])
def test_there_and_back(tmp_path: Path, kind: str, fortran: bool) -> None:
    """Published files are what numpy.save makes of any integers."""
    path = tmp_path / "heart_valid_samples.npy"
    array = PAIRS.numpy().astype(kind)
    np.save(path, np.asfortranarray(array) if fortran else array)
    found = read_negatives(path, positives=POSITIVES, num_nodes=6)
    assert found.dtype == torch.int64
    assert torch.equal(found, PAIRS)
    write_negatives(found.int(), path)
    assert torch.equal(read_negatives(path), PAIRS)
    assert np.load(path).dtype == np.int64
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "test.npy"
    write_negatives(PAIRS, path)
    with pytest.raises(IndexRangeError, match=r"test\.npy: a negative refers to 5"):
        read_negatives(path, num_nodes=5)
    np.save(path, -PAIRS.numpy())
    with pytest.raises(IndexRangeError, match="refers to -5"):
        read_negatives(path)
    write_negatives(PAIRS, path)
    with pytest.raises(ShapeError, match="negatives for 2 positives, but there are 1"):
        read_negatives(path, positives=POSITIVES[:, :1])
    with pytest.raises(
        GraphrepError, match=r"1 of 6 negatives share no end .* \(first: \(3, 5\) of positive 1, \(1, 2\)"
    ):
        read_negatives(path, positives=[[0, 1], [1, 2]])
    assert read_negatives(path, positives=POSITIVES.flip(0)).shape == PAIRS.shape
    np.save(path, np.zeros((3, 2), np.int64))
    with pytest.raises(ShapeError, match=r"shape \(n, k, 2\); got \(3, 2\)"):
        read_negatives(path)
    np.save(path, np.zeros((1, 3, 2)))
    with pytest.raises(DTypeError, match=r"must hold integers; got torch\.float64"):
        read_negatives(path)
    np.save(path, np.zeros((1, 3, 2), dtype="U3"))
    with pytest.raises(GraphrepError):
        read_negatives(path)
    with pytest.raises(GraphrepError, match=r"does not end in \.npy"):
        write_negatives(PAIRS, tmp_path / "test.npz")
    with pytest.raises(ShapeError):
        write_negatives(PAIRS[0], path)


def test_hostile_files(tmp_path: Path) -> None:
    path = tmp_path / "test.npy"
    with pytest.raises(FileFormatError, match="no such file"):
        read_negatives(path)
    path.write_bytes(b"")
    with pytest.raises(FileFormatError):
        read_negatives(path)
    np.save(path, np.array([[[1, "a"]]], dtype=object), allow_pickle=True)
    with pytest.raises(FileFormatError, match="pickled Python objects"):
        read_negatives(path)
    write_negatives(PAIRS, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-8])
    with pytest.raises(FileFormatError, match="its header promises 96 bytes"):
        read_negatives(path)
    path.write_bytes(whole.replace(b"(2, 3, 2)", b"(2000000000, 3000, 2)"[:9]))
    with pytest.raises(FileFormatError):
        read_negatives(path)
