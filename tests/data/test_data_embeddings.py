"""Saved embeddings: every format gives back what was saved; files are whole or absent."""

from __future__ import annotations

import errno
import math
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import graphrep as gr
from graphrep.data import atomic_write
from graphrep.data._numbers import parse_decimal, parse_integer, put_float32
from graphrep.data.embeddings import FORMATS, embedding_format
from graphrep.errors import DTypeError, FileFormatError, ShapeError, UnknownNameError

Z = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
IDS = {
    "none": None,
    "integer": [7, -3, 0, 10**15, 5],
    "text": ["a", "Grace", "é", "4x", "x_y"],
}


# round trips


@pytest.mark.parametrize("name", ["z.npz", "z.npy", "z.csv", "z.tsv", "z.parquet", "z.w2v", "z.vec", "z.txt"])
@pytest.mark.parametrize("ids", sorted(IDS))
def test_every_format_gives_back_what_was_saved(tmp_path, name, ids) -> None:
    settings_given = {"method": "fastrp", "weights": [0.0, 1.0], "seed": 3}
    path = gr.save_embeddings(tmp_path / name, Z, IDS[ids], settings_given)
    found = gr.load_embeddings(path)
    assert found.vectors.dtype == np.float32
    assert np.array_equal(found.vectors, Z.numpy())
    assert found.ids.tolist() == (list(range(5)) if IDS[ids] is None else IDS[ids])
    assert found.settings == (settings_given if path.suffix in (".npz", ".parquet") else {})
    assert {p.name for p in tmp_path.iterdir()} <= {name, "z.ids.npy"}


@pytest.mark.parametrize("name", ["z.csv", "z.npz", "z.parquet"])
def test_awkward_ids(tmp_path, name) -> None:
    ids = ["Hopper, Grace", 'say "x"', " spaced ", "", "007"]
    assert gr.load_embeddings(gr.save_embeddings(tmp_path / name, Z, ids)).ids.tolist() == ids


@pytest.mark.parametrize("name", ["z.npz", "z.npy", "z.csv", "z.tsv", "z.parquet", "z.w2v"])
@given(
    ids=st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6),
        min_size=1,
        max_size=5,
        unique=True,
    ),
    width=st.integers(1, 3),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_comes_back_or_is_refused(tmp_path, name, ids, width) -> None:
    z = np.arange(len(ids) * width, dtype=np.float32).reshape(-1, width)
    try:
        path = gr.save_embeddings(tmp_path / name, z, ids)
    except gr.GraphrepError:
        assert any(not i or any(c.isspace() for c in i) for i in ids)
        return
    found = gr.load_embeddings(path)
    assert np.array_equal(found.vectors, z)
    numbers = name.endswith(("csv", "tsv", "w2v")) and found.ids.dtype.kind == "i"
    assert [str(i) for i in found.ids.tolist()] == ids
    assert numbers or found.ids.dtype.kind == "U"


def test_ids_that_only_look_like_numbers(tmp_path) -> None:
    for ids in (["--5"], ["\u00b2"], ["-0"], ["9" * 19], ["-"]):
        path = gr.save_embeddings(tmp_path / "z.csv", Z[:1], ids)
        assert gr.load_embeddings(path).ids.tolist() == ids
    path = gr.save_embeddings(tmp_path / "z.csv", Z[:1], [2**63 - 1])
    assert gr.load_embeddings(path).ids.tolist() == [2**63 - 1]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.int32])
def test_other_types_are_written_as_float32(tmp_path, dtype) -> None:
    z = (Z * 10).to(dtype)
    found = gr.load_embeddings(gr.save_embeddings(tmp_path / "z.npz", z))
    assert np.array_equal(found.vectors, z.float().numpy())


def test_views_gradients_and_numpy_are_fine(tmp_path) -> None:
    wide = torch.randn(4, 6, requires_grad=True)
    for z in (wide[:, ::2], wide.t(), wide.detach().numpy()[::-1]):
        expected = np.asarray(z.detach() if hasattr(z, "detach") else z)
        for name in ("z.npz", "z.npy", "z.csv", "z.parquet"):
            assert np.array_equal(gr.load_embeddings(gr.save_embeddings(tmp_path / name, z)).vectors, expected)


@pytest.mark.parametrize("name", ["z.npz", "z.npy", "z.csv", "z.w2v", "z.parquet"])
@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (3, 700)])
def test_awkward_shapes(tmp_path, name, shape) -> None:
    z = torch.arange(shape[0] * shape[1]).reshape(shape).float()
    found = gr.load_embeddings(gr.save_embeddings(tmp_path / name, z))
    assert found.vectors.shape == shape
    assert np.array_equal(found.vectors, z.numpy())


def test_many_blocks(tmp_path) -> None:
    z = torch.arange(5_000_000).reshape(-1, 2).float()
    for name in ("z.npz", "z.npy"):
        assert np.array_equal(gr.load_embeddings(gr.save_embeddings(tmp_path / name, z)).vectors, z.numpy())


def test_equal_embeddings_give_equal_files(tmp_path) -> None:
    for name in ("a.npz", "b.npz"):
        gr.save_embeddings(tmp_path / name, Z, IDS["text"], {"seed": 1})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_plain_numpy_reads_the_archive(tmp_path) -> None:
    with np.load(gr.save_embeddings(tmp_path / "z.npz", Z, IDS["text"]), allow_pickle=False) as archive:
        assert sorted(archive.files) == ["ids", "settings", "vectors"]
        assert archive["vectors"].dtype == np.float32


def test_word2vec_text_of_other_programs(tmp_path) -> None:
    path = tmp_path / "z.vec"
    path.write_text("2 3\nking 0.5 -1e-3 2 \nqueen 1 2.25 3\n")  # word2vec.c ends lines with a space
    found = gr.load_embeddings(path)
    assert found.ids.tolist() == ["king", "queen"]
    assert np.array_equal(found.vectors, np.array([[0.5, -1e-3, 2], [1, 2.25, 3]], dtype=np.float32))


def test_repr_and_length() -> None:
    from graphrep.data import Embeddings

    found = Embeddings(np.arange(2), np.zeros((2, 4), np.float32))
    assert repr(found) == "Embeddings(2 x 4 float32, integer ids)"
    assert len(found) == 2


# numbers


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=50))
@settings(max_examples=200, deadline=None)
def test_nine_digits_restore_float32(values) -> None:
    out = np.empty(32, dtype=np.uint8)
    for value in values:
        size = put_float32(out, 0, np.float32(value))
        assert size <= 20
        text = out[:size].tobytes().decode()
        assert np.float32(float(text)) == np.float32(value)
        parsed, good = parse_decimal(out, 0, size)
        assert good
        assert np.float32(parsed).tobytes() == np.float32(value).tobytes()


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(max_examples=300, deadline=None)
def test_decimals_are_read_within_two_units(value) -> None:
    raw = np.frombuffer(repr(value).encode(), dtype=np.uint8)
    parsed, good = parse_decimal(raw, 0, raw.size)
    assert good
    assert abs(parsed - value) <= 2 * math.ulp(value)


@pytest.mark.parametrize("text", ["0.1", "123456.789", "-2.5e3", "1e22", "+3", ".5", "5.", "1E-7", "0", "-0.0"])
def test_short_decimals_are_exact(text) -> None:
    raw = np.frombuffer(text.encode(), dtype=np.uint8)
    assert parse_decimal(raw, 0, raw.size) == (float(text), True)


@pytest.mark.parametrize("text", ["", "-", ".", "e5", "1e", "1e+", "1.2.3", "0x10", "1,5", "1 2", "na", "nane", "--1"])
def test_other_text_is_no_number(text) -> None:
    raw = np.frombuffer(text.encode(), dtype=np.uint8)
    assert not parse_decimal(raw, 0, raw.size)[1]


@pytest.mark.parametrize(
    ("text", "good"),
    [("0", True), ("-5", True), ("999999999999999999", True), ("1000000000000000000", False), ("-0", False)]
    + [(t, False) for t in ("", "-", "+1", "01", "1.0", "1e3", "a")],
)
def test_integers(text, good) -> None:
    raw = np.frombuffer(text.encode(), dtype=np.uint8)
    value, found = parse_integer(raw, 0, raw.size)
    assert found == good
    assert not good or value == int(text)


# errors


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (ShapeError, {"z": torch.ones(3)}, r"z must have shape \(N, d\); got \(3,\)"),
        (DTypeError, {"z": np.array([["a"]])}, "z must hold real numbers"),
        (ShapeError, {"ids": [1, 2]}, r"ids has shape \(2,\) but z has 5 rows"),
        (DTypeError, {"ids": [0.5] * 5}, "ids must be integers or text"),
        (UnknownNameError, {"format": "xls"}, 'Unknown format "xls"'),
        (UnknownNameError, {"path": "z.xls"}, 'no format is known for ".xls"'),
    ],
)
def test_bad_arguments(tmp_path, kind, arguments, message) -> None:
    arguments = {"path": "z.npz", "z": Z, **arguments}
    arguments["path"] = tmp_path / arguments["path"]
    with pytest.raises(kind, match=message):
        gr.save_embeddings(**arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "ids"), [("z.w2v", "a b"), ("z.w2v", ""), ("z.csv", "a\nb"), ("z.w2v", "a\u00a0b")])
def test_ids_that_a_text_format_cannot_hold(tmp_path, name, ids) -> None:
    with pytest.raises(gr.GraphrepError, match="cannot") as caught:
        gr.save_embeddings(tmp_path / name, Z[:1], [ids])
    assert "--format" in caught.value.hint
    assert not list(tmp_path.iterdir())


def test_formats_by_name_and_by_extension() -> None:
    assert embedding_format("a.PQ") == "parquet"
    assert embedding_format("a.bin", "w2v") == "w2v"
    assert set(FORMATS) == {"npz", "npy", "csv", "parquet", "w2v"}


@pytest.mark.parametrize("name", ["z.npz", "z.npy", "z.parquet", "z.w2v", "z.csv"])
def test_damaged_files(tmp_path, name) -> None:
    path = gr.save_embeddings(tmp_path / name, Z.repeat(40, 1))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - len(content) // 3 - 2])
    with pytest.raises(FileFormatError, match=re.escape(name)):
        gr.load_embeddings(path)
    path.write_bytes(b"")
    with pytest.raises(FileFormatError, match=re.escape(name)):
        gr.load_embeddings(path)
    with pytest.raises(FileFormatError, match="There is no file"):
        gr.load_embeddings(tmp_path / f"no{name}")


def test_other_archives_and_objects(tmp_path) -> None:
    np.savez(tmp_path / "a.npz", edge_index=np.ones((2, 3)))
    with pytest.raises(FileFormatError, match=r"holds no embeddings \(arrays: edge_index\)"):
        gr.load_embeddings(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", vectors=np.array([{}], dtype=object))
    with pytest.raises(FileFormatError, match=r"b\.npz"):
        gr.load_embeddings(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", vectors=np.ones((3, 2)), ids=np.arange(2))
    with pytest.raises(FileFormatError, match="2 ids and vectors of shape"):
        gr.load_embeddings(tmp_path / "c.npz")


# whole or absent


def test_an_error_leaves_the_old_file_and_no_part(tmp_path) -> None:
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")

    def interrupted() -> None:
        with atomic_write(target) as file:
            file.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]
    with atomic_write(target) as file:
        file.write(b"new")
    assert target.read_bytes() == b"new"


def test_no_space_left(tmp_path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(gr.GraphrepError, match=r"No space left while writing .*z\.npz; nothing was written") as caught:
        gr.save_embeddings(tmp_path / "z.npz", Z)
    assert "--out" in caught.value.hint
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_device_that_is_full() -> None:
    with pytest.raises((gr.GraphrepError, OSError)):
        gr.save_embeddings("/dev/full", torch.zeros(100_000, 4), format="npy")


def test_folders_that_are_wrong(tmp_path) -> None:
    with pytest.raises(gr.GraphrepError, match="There is no folder") as caught:
        gr.save_embeddings(tmp_path / "no" / "z.npz", Z)
    assert "mkdir -p" in caught.value.hint
    (tmp_path / "z.npz").mkdir()
    with pytest.raises(gr.GraphrepError, match="is a folder"):
        gr.save_embeddings(tmp_path / "z.npz", Z)


def test_a_link_is_written_through(tmp_path) -> None:
    (tmp_path / "real.npz").write_bytes(b"")
    (tmp_path / "link.npz").symlink_to(tmp_path / "real.npz")
    gr.save_embeddings(tmp_path / "link.npz", Z)
    assert (tmp_path / "link.npz").is_symlink()
    assert len(gr.load_embeddings(tmp_path / "real.npz")) == 5


def test_parts_of_killed_processes_are_removed(tmp_path) -> None:
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    dead = int(done.stdout)
    host = socket.gethostname()
    stale, alive = tmp_path / f".z.npz.{host}.{dead}-0.tmp", tmp_path / f".z.npz.{host}.{os.getppid()}-0.tmp"
    other = tmp_path / f".other.npz.{host}.{dead}-0.tmp"
    for part in (stale, alive, other):
        part.write_bytes(b"part")
    gr.save_embeddings(tmp_path / "z.npz", Z)
    assert not stale.exists()
    assert alive.exists()
    assert other.exists()


def test_a_killed_writer_leaves_the_old_file(tmp_path) -> None:
    target = tmp_path / "z.bin"
    target.write_bytes(b"old")
    code = (
        "import sys, time\nfrom graphrep.data.write import atomic_write\n"
        f"with atomic_write({str(target)!r}) as f:\n"
        "    f.write(b'half'); f.flush(); print('ready', flush=True); time.sleep(60)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"ready\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert target.read_bytes() == b"old"
    with atomic_write(target) as file:
        file.write(b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["z.bin"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_a_file_that_grows_too_large_leaves_nothing(tmp_path) -> None:
    """A limit on the size of files fails in the middle of writing, as a full disk does."""
    code = (
        "import resource, sys, numpy as np, graphrep as gr\n"
        "z = np.ones((20_000, 16), dtype=np.float32)\n"
        "gr.save_embeddings(sys.argv[1] + '/first.npz', z[:10])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "for name in ('z.npz', 'z.npy', 'z.csv', 'z.w2v', 'z.parquet'):\n"
        "    try:\n"
        "        gr.save_embeddings(f'{sys.argv[1]}/{name}', z + np.arange(16) / 7 + np.arange(20_000)[:, None] / 9)\n"
        "    except gr.GraphrepError as error:\n"
        "        assert 'Writing' in str(error) and name in str(error), error\n"
        "    else:\n"
        "        raise SystemExit(name + ' was written')\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert [p.name for p in tmp_path.iterdir()] == ["first.npz"]
