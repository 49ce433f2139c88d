"""EmbeddingCache: golden rows and gradients, against a dictionary, folders that are killed, damaged or of others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from graphrep.errors import (
    CheckpointMismatchError,
    DTypeError,
    FileFormatError,
    GraphrepError,
    IndexRangeError,
    NonFiniteError,
    ShapeError,
)
from graphrep.kernels import CSR, spmm
from graphrep.nn import EmbeddingCache

GOLDEN = Path(__file__).parents[1] / "golden" / "lmgnn"
KEY = {"weights": "a", "length": 8}


@pytest.fixture(params=["cache_grad_n12", "cache_grad_n20_stale"])
def arrays(request: pytest.FixtureRequest) -> dict[str, Tensor]:
    with np.load(GOLDEN / f"{request.param}.npz", allow_pickle=False) as file:
        return {key: torch.from_numpy(np.array(file[key])) for key in file.files}


def filled(rows: Tensor, **options: Any) -> EmbeddingCache:
    cache = EmbeddingCache(*rows.shape, dtype=rows.dtype, **options)
    cache.write(torch.arange(len(rows)), rows)
    return cache


def step(arrays: dict[str, Tensor], cache: EmbeddingCache, live: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """H, loss, W, b of a step with `live` rows from tanh(x W + b) and the others from the cache."""
    weight, bias = arrays["W"].clone().requires_grad_(), arrays["b"].clone().requires_grad_()
    count = len(arrays["y"])
    hidden = cache.mix(torch.arange(count), live, torch.tanh(arrays["text_feat"][live] @ weight + bias))
    csr = CSR.from_edge_index(arrays["edge_index"], size=(count, count))
    mixed = spmm(csr, hidden, reduce="mean") @ arrays["w_neigh"] + hidden @ arrays["w_self"] + arrays["bias"]
    seeds = arrays["seeds"]
    return hidden, functional.cross_entropy(mixed[seeds], arrays["y"][seeds]), weight, bias


@pytest.mark.parametrize("index", [torch.int32, torch.int64])
def test_golden_gradients(arrays: dict[str, Tensor], index: torch.dtype, tmp_path: Path) -> None:
    every = torch.arange(len(arrays["y"]))
    sets = {
        "all": every,
        "receptive": arrays["receptive_field"],
        "seeds": arrays["seeds"],
        "subset": arrays["live_subset"],
        "none": every[:0],
    }
    for cache in (filled(arrays["cache"]), filled(arrays["cache"], path=tmp_path / "c")):
        for name, live in sets.items():
            hidden, loss, weight, bias = step(arrays, cache, live.to(index))
            torch.testing.assert_close(hidden, arrays[f"H_{name}"], rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(loss, arrays[f"loss_{name}"], rtol=1e-12, atol=1e-12)
            if len(live):
                for found, key in zip(torch.autograd.grad(loss, (weight, bias)), ("gW", "gb"), strict=True):
                    torch.testing.assert_close(found, arrays[f"{key}_{name}"], rtol=1e-12, atol=1e-12)


def test_golden_write_back(arrays: dict[str, Tensor]) -> None:
    cache, live = filled(arrays["cache"]), arrays["live_subset"]
    cache.write(live, torch.tanh(arrays["text_feat"][live] @ arrays["W"].clone().requires_grad_() + arrays["b"]))
    rows = cache.gather(torch.arange(cache.num_nodes))
    torch.testing.assert_close(rows, arrays["cache_after_writeback_subset"], rtol=1e-12, atol=1e-12)
    assert not rows.requires_grad


@given(seed=st.integers(0, 1000), parts=st.integers(1, 5))
@settings(max_examples=15, deadline=None)
def test_gradients_of_any_partition_add_up(seed: int, parts: int) -> None:
    """With a fresh cache the parts' gradients sum to the full one."""
    with np.load(GOLDEN / "cache_grad_n12.npz", allow_pickle=False) as file:
        arrays = {key: torch.from_numpy(np.array(file[key])) for key in file.files}
    fresh = filled(torch.tanh(arrays["text_feat"] @ arrays["W"] + arrays["b"]))
    owner = torch.randint(parts, (len(arrays["y"]),), generator=torch.Generator().manual_seed(seed))
    total = torch.zeros_like(arrays["W"])
    for part in range(parts):
        live = (owner == part).nonzero().flatten()
        if len(live):
            _, loss, weight, _ = step(arrays, fresh, live)
            total += torch.autograd.grad(loss, weight)[0]
    torch.testing.assert_close(total, arrays["gW_fresh_full"], rtol=1e-12, atol=1e-12)


def test_gradcheck() -> None:
    cache = filled(torch.randn(4, 2, dtype=torch.float64))
    live = torch.randn(2, 2, dtype=torch.float64, requires_grad=True)
    where, positions = torch.tensor([3, 1, 0]), torch.tensor([2, 0])
    assert torch.autograd.gradcheck(lambda rows: cache.mix(where, positions, rows), (live,))


writes = st.lists(st.tuples(st.sets(st.integers(0, 6), max_size=5), st.integers(0, 9), st.booleans()), max_size=6)


@given(writes=writes, in_folder=st.booleans())
@settings(max_examples=25, deadline=None)
def test_against_a_dictionary(writes: list[Any], in_folder: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("cache") / "c" if in_folder else None
    cache, rows, since, clock = EmbeddingCache(7, 2, dtype=torch.float32, path=path), {}, {}, 0
    for nodes, value, tick in writes:
        index = torch.tensor(sorted(nodes), dtype=torch.int32)
        cache.write(index, torch.full((len(index), 2), float(value)))
        rows |= dict.fromkeys(nodes, float(value))
        since |= dict.fromkeys(nodes, clock)
        if tick:
            cache.tick()
            clock += 1
    assert cache.missing().tolist() == [i for i in range(7) if i not in rows]
    assert cache.complete == (len(rows) == 7)
    assert cache.age.tolist() == [clock - since[i] if i in since else -1 for i in range(7)]
    there = torch.tensor(sorted(rows), dtype=torch.int64)
    assert cache.gather(there).tolist() == [[rows[i]] * 2 for i in sorted(rows)]
    if path is not None:
        cache.flush()
        again = EmbeddingCache.open(path)
        assert again.missing().tolist() == cache.missing().tolist()
        assert torch.equal(again.gather(there), cache.gather(there))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtypes(dtype: torch.dtype, tmp_path: Path) -> None:
    rows = functional.normalize(torch.randn(5, 8, generator=torch.Generator().manual_seed(0)))
    for path in (None, tmp_path / "c"):
        cache = EmbeddingCache(5, 8, dtype=dtype, path=path)
        cache.write(torch.arange(5), rows)
        found = cache.gather(torch.tensor([4, 0, 4]))
        assert found.dtype == dtype
        assert torch.equal(found, rows[[4, 0, 4]].to(dtype))
        mixed = cache.mix(torch.tensor([1, 2]), torch.tensor([0]), torch.zeros(1, 8, dtype=torch.bfloat16))
        assert mixed.dtype == torch.bfloat16
        cache.flush()
    again = EmbeddingCache.open(tmp_path / "c")
    assert again.dtype == dtype
    assert torch.equal(again.gather(torch.arange(5)), rows.to(dtype))


def test_gathered_rows_are_copies() -> None:
    cache = filled(torch.ones(2, 2))
    cache.gather(torch.tensor([0])).zero_()
    cache.mix(torch.tensor([0]), torch.tensor([], dtype=torch.int64), torch.zeros(0, 2)).zero_()
    assert cache.gather(torch.tensor([0])).tolist() == [[1.0, 1.0]]


def test_live_rows_need_no_cached_ones() -> None:
    cache = EmbeddingCache(3, 2, dtype=torch.float32)
    cache.write(torch.tensor([1]), torch.ones(1, 2))
    assert cache.mix(torch.tensor([0, 1]), torch.tensor([0]), torch.full((1, 2), 2.0)).tolist() == [[2, 2], [1, 1]]
    with pytest.raises(GraphrepError, match=r"1 of 1 rows were never written \(node 2"):
        cache.mix(torch.tensor([0, 2]), torch.tensor([0]), torch.zeros(1, 2))


def test_empty_caches(tmp_path: Path) -> None:
    for path in (None, tmp_path / "c"):
        cache = EmbeddingCache(0, 2, path=path)
        cache.write(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 2))
        cache.flush()
        assert cache.complete
        assert cache.gather(torch.zeros(0, dtype=torch.int64)).shape == (0, 2)
    assert len(EmbeddingCache.open(tmp_path / "c")) == 0


def test_only_flushed_rows_count(tmp_path: Path) -> None:
    """A row that is written over counts as missing until it is on the disk again."""
    cache = EmbeddingCache(3, 2, path=tmp_path / "c", key=KEY)
    cache.write(torch.tensor([0, 1]), torch.ones(2, 2))
    assert EmbeddingCache.open(tmp_path / "c").missing().tolist() == [0, 1, 2]
    cache.flush()
    assert EmbeddingCache.open(tmp_path / "c").missing().tolist() == [2]
    cache.write(torch.tensor([1]), torch.zeros(1, 2))
    assert EmbeddingCache.open(tmp_path / "c").missing().tolist() == [1, 2]


def test_two_writers_of_one_folder(tmp_path: Path) -> None:
    one, two = (EmbeddingCache(4, 2, path=tmp_path / "c", key=KEY) for _ in range(2))
    one.write(torch.tensor([0, 1]), torch.ones(2, 2))
    two.write(torch.tensor([2, 3]), torch.full((2, 2), 2.0))
    two.flush()
    one.flush()
    one.reload()
    assert one.complete
    assert one.gather(torch.tensor([0, 3])).tolist() == [[1, 1], [2, 2]]
    assert EmbeddingCache.open(tmp_path / "c").complete


def test_killed_while_writing(tmp_path: Path) -> None:
    code = f"""
import os, signal, torch
from graphrep.nn import EmbeddingCache
cache = EmbeddingCache(10, 3, path={str(tmp_path / "c")!r}, key={KEY!r})
for node in range(10):
    cache.write(torch.tensor([node]), torch.full((1, 3), float(node)))
    if node == 4:
        cache.flush()
    if node == 7:
        os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}, check=False)
    assert done.returncode == -signal.SIGKILL
    cache = EmbeddingCache(10, 3, path=tmp_path / "c", key=KEY)
    assert cache.missing().tolist() == [5, 6, 7, 8, 9]
    assert cache.gather(torch.arange(5))[:, 0].tolist() == [0, 1, 2, 3, 4]


def test_a_mismatch_says_what_differs(tmp_path: Path) -> None:
    EmbeddingCache(3, 2, path=tmp_path / "c", key=KEY)
    assert EmbeddingCache.open(tmp_path / "c", key=KEY).key == KEY
    with pytest.raises(CheckpointMismatchError, match=r"something else: length \(8, not 9\)\."):
        EmbeddingCache.open(tmp_path / "c", key={**KEY, "length": 9})
    with pytest.raises(CheckpointMismatchError, match=r"length \(8, not None\); weights \(a, not b\)"):
        EmbeddingCache.open(tmp_path / "c", key={"weights": "b"})
    with pytest.raises(CheckpointMismatchError, match=r"shape \(\[3, 2\], not \[4, 2\]\)"):
        EmbeddingCache(4, 2, path=tmp_path / "c", key=KEY)
    with pytest.raises(CheckpointMismatchError, match=r"dtype \(float16, not float32\)"):
        EmbeddingCache(3, 2, dtype=torch.float32, path=tmp_path / "c", key=KEY)


def test_reset_forgets_and_writes_another_key(tmp_path: Path) -> None:
    for path in (None, tmp_path / "c"):
        cache = EmbeddingCache(2, 2, path=path, key=KEY)
        cache.write(torch.tensor([0, 1]), torch.ones(2, 2))
        cache.reset(key={**KEY, "weights": "b"})
        assert cache.missing().tolist() == [0, 1]
        cache.write(torch.tensor([0]), torch.ones(1, 2))
        cache.flush()
    assert EmbeddingCache.open(tmp_path / "c", key={**KEY, "weights": "b"}).missing().tolist() == [1]
    with pytest.raises(CheckpointMismatchError, match="weights"):
        EmbeddingCache.open(tmp_path / "c", key=KEY)


def rewrite(name: str, **changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        found = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**found, **changes}))

    return change


def truncate(name: str, size: int) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        os.truncate(folder / name, size)

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate("rows.npy", 140), "rows.npy is damaged"),
        (truncate("rows.npy", 0), "rows.npy is damaged"),
        (truncate("done.npy", 20), "done.npy is damaged"),
        (lambda folder: (folder / "rows.npy").unlink(), "rows.npy is damaged"),
        (lambda folder: np.save(folder / "rows.npy", np.zeros((3, 2))), "rows.npy holds float64"),
        (lambda folder: np.save(folder / "done.npy", np.full(3, 7, np.uint8)), "other values than 0 and 1"),
        (lambda folder: (folder / "cache.json").write_text("{"), "no readable cache"),
        (lambda folder: (folder / "cache.json").write_text("[]"), "not of the format"),
        (rewrite("cache.json", graphrep="other"), "not of the format"),
        (rewrite("cache.json", shape=[3]), "no cache of node vectors"),
        (rewrite("cache.json", dtype="int8"), "no cache of node vectors"),
        (lambda folder: (folder / "cache.json").unlink(), "no readable cache"),
    ],
)
def test_damaged_folders(tmp_path: Path, damage: Callable[[Path], None], message: str) -> None:
    filled(torch.ones(3, 2), path=tmp_path / "c").flush()
    damage(tmp_path / "c")
    with pytest.raises(FileFormatError, match=message):
        EmbeddingCache.open(tmp_path / "c")


def test_a_folder_half_made_is_made_anew_and_others_are_left(tmp_path: Path) -> None:
    filled(torch.ones(3, 2), path=tmp_path / "c").flush()
    (tmp_path / "c" / "cache.json").unlink()
    assert EmbeddingCache(4, 2, path=tmp_path / "c").missing().tolist() == [0, 1, 2, 3]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(GraphrepError, match=r"holds other files \(thesis.txt"):
        EmbeddingCache(3, 2, path=tmp_path / "mine")
    (tmp_path / "file").write_text("x")
    with pytest.raises(GraphrepError, match="cannot be made"):
        EmbeddingCache(3, 2, path=tmp_path / "file")


def test_errors() -> None:
    cache = EmbeddingCache(3, 2)
    one = torch.tensor([1])
    with pytest.raises(GraphrepError, match="width 0"):
        EmbeddingCache(3, 0)
    with pytest.raises(DTypeError, match="int64"):
        EmbeddingCache(3, 2, dtype=torch.int64)
    with pytest.raises(IndexRangeError, match="index refers to 3"):
        cache.write(torch.tensor([3]), torch.zeros(1, 2))
    with pytest.raises(DTypeError, match="index must hold integers"):
        cache.gather(torch.tensor([0.0]))
    with pytest.raises(ShapeError, match=r"rows is \(1, 3\)"):
        cache.write(one, torch.zeros(1, 3))
    with pytest.raises(DTypeError, match="rows must hold floating-point"):
        cache.write(one, torch.zeros(1, 2, dtype=torch.int64))
    with pytest.raises(GraphrepError, match="names a node twice"):
        cache.write(torch.tensor([1, 1]), torch.zeros(2, 2))
    with pytest.raises(NonFiniteError, match="row 0, of node 1"):
        cache.write(one, torch.tensor([[0.0, float("nan")]]))
    with pytest.raises(NonFiniteError, match=r"not finite as torch\.float16"):
        cache.write(one, torch.tensor([[0.0, 1e6]]))
    assert not cache.complete
    cache.write(torch.arange(3), torch.zeros(3, 2))
    with pytest.raises(ShapeError, match="live_rows is"):
        cache.mix(one, torch.tensor([0]), torch.zeros(2, 2))
    with pytest.raises(IndexRangeError, match="live_pos refers to 1"):
        cache.mix(one, one, torch.zeros(1, 2))
    with pytest.raises(GraphrepError, match="live_pos names a position twice"):
        cache.mix(torch.tensor([0, 1]), torch.tensor([0, 0]), torch.zeros(2, 2))
    assert repr(cache) == "EmbeddingCache(3 x 2 float16 on cpu)"
