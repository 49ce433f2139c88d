"""Downloads from a server of our own: what is kept, what is refused, and what an interruption leaves behind."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import http.server
import io
import pickle
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp
import torch

import graphrep as gr
from graphrep.data import cards, download
from graphrep.data.check import GraphWarning
from graphrep.data.content import content_sha256
from graphrep.data.fetching.fetch import fetch
from graphrep.data.fetching.forms import FORMS
from graphrep.data.fetching.planetoid_files import as_array, as_csr, as_lists, read_instructions
from graphrep.errors import ChecksumError, DownloadError, FileFormatError


class Site:
    """A server with files by name; `cuts` breaks the next transfers off after so many bytes."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cuts: list[int] = []
        self.etag: str | None = '"1"'
        self.length = True
        self.asked: list[str | None] = []
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        span = request.headers.get("Range")
        self.asked.append(span)
        content = self.files.get(request.path.lstrip("/"))
        if content is None:
            request.send_error(404)
            return
        start = int(span.removeprefix("bytes=").rstrip("-")) if span else 0
        if span and request.headers.get("If-Range") != self.etag:
            start = 0
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if self.length:
            request.send_header("Content-Length", str(len(content) - start))
        if self.etag:
            request.send_header("ETag", self.etag)
        request.end_headers()
        cut = self.cuts.pop(0) if self.cuts else len(content)
        request.wfile.write(content[start : start + cut])


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(autouse=True)
def cache(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache, and no proxy between us and our server."""
    if "data_root" in request.fixturenames:
        request.getfixturevalue("data_root")  # looks at the variable that goes away here
    monkeypatch.delenv("GRAPHREP_DATA", raising=False)
    monkeypatch.setenv("GRAPHREP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "cache"


def network(n: int = 9) -> bytes:
    """A MATLAB file with a ring of n nodes as `net`."""
    ring = sp.coo_array((np.ones(n), (np.arange(n), (np.arange(n) + 1) % n)), shape=(n, n))
    file = io.BytesIO()
    scipy.io.savemat(file, {"net": (ring + ring.T).tocsc()}, do_compression=True)
    return file.getvalue()


@pytest.fixture
def usair(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The card of usair describes a ring of nine nodes, which our server has."""
    site.files["USAir.mat"] = network()
    content = content_sha256(FORMS["network_mat"]([network()], ["USAir.mat"]))
    entry = cards.card("usair")
    where = cards.Download("network_mat", (f"{site.url}/USAir.mat",), content)
    changed = dataclasses.replace(entry, nodes=9, edges=9, download=where)
    monkeypatch.setitem(cards._cards(), "linkpred/usair", changed)
    return site


def nothing_left(folder: Path) -> bool:
    return not [path for path in folder.rglob("*") if path.is_file()]


# one file


def test_bytes_arrive_with_progress(site: Site) -> None:
    site.files["a"] = bytes(range(256)) * 1000
    told: list[tuple[str, int, int | None]] = []
    checksum = hashlib.sha256(site.files["a"]).hexdigest()
    assert fetch(f"{site.url}/a", sha256=checksum, progress=lambda *now: told.append(now)) == site.files["a"]
    assert told[-1] == ("a", 256_000, 256_000)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    site.length = False
    assert fetch(f"{site.url}/a", progress=lambda *now: told.append(now)) == site.files["a"]
    assert told[-1] == ("a", 256_000, None)


def test_a_broken_transfer_goes_on_where_it_stopped(site: Site) -> None:
    site.files["a"] = bytes(range(256)) * 1000
    site.cuts = [100_000, 50_000]
    assert fetch(f"{site.url}/a") == site.files["a"]
    assert site.asked == [None, "bytes=100000-", "bytes=150000-"]


def test_it_starts_again_when_the_file_has_changed_or_cannot_be_told(site: Site) -> None:
    site.files["a"] = b"old" * 1000
    site.cuts = [1000]

    def change(*_: Any) -> None:
        site.files["a"], site.etag = b"new" * 1000, '"2"'

    assert fetch(f"{site.url}/a", progress=change) == b"new" * 1000
    site.etag, site.cuts, site.asked = None, [1000], []
    assert fetch(f"{site.url}/a") == b"new" * 1000
    assert site.asked == [None, None]


def test_failures_of_one_file_say_what_to_do(site: Site) -> None:
    with pytest.raises(DownloadError, match=r"/none answered 404 \(Not Found\)") as caught:
        fetch(f"{site.url}/none", hint="copy it")
    assert caught.value.hint == "copy it"
    site.files["a"] = b"x" * 1000
    site.cuts = [100, 100, 100, 100]
    with pytest.raises(
        DownloadError, match=r"/a broke off after 400 of 1 000 bytes: the connection was closed"
    ) as caught:
        fetch(f"{site.url}/a", hint="copy it")
    assert caught.value.hint == "run the command again; or copy it"
    with pytest.raises(ChecksumError, match="another checksum"):
        fetch(f"{site.url}/a", sha256="0" * 64)
    with pytest.raises(DownloadError, match="not an http address"):
        fetch("file:///etc/hostname")
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1 cannot be reached: Connection refused"):
        fetch(f"http://127.0.0.1:{free_port()}/a")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# a data set


def test_a_set_is_fetched_once_and_loads(usair: Site, cache: Path) -> None:
    path = download("usair")
    assert path == cache / "data" / "linkpred" / "usair.npz"
    graph = gr.load("usair")
    assert (graph.num_nodes, graph.num_edges) == (9, 18)
    assert download("usair") == path
    assert len(usair.asked) == 1
    download("usair", force=True)
    assert len(usair.asked) == 2
    assert [p.name for p in path.parent.iterdir()] == ["usair.npz"]


def test_a_chosen_folder_is_used(usair: Site, tmp_path: Path) -> None:
    assert download("usair", tmp_path / "mine") == tmp_path / "mine" / "linkpred" / "usair.npz"
    assert gr.load("usair", tmp_path / "mine").num_nodes == 9


def test_what_differs_from_the_card_is_not_kept(usair: Site, cache: Path) -> None:
    usair.files["USAir.mat"] = network(8)
    with pytest.raises(ChecksumError, match="8 nodes instead of 9, 8 edges instead of 9; nothing was kept"):
        download("usair")
    assert nothing_left(cache)
    download("usair", verify=False)
    with pytest.warns(GraphWarning, match="downloaded with --no-verify and differs from the card"):
        assert gr.load("usair").num_nodes == 8


def test_damaged_files_are_not_kept(usair: Site, cache: Path) -> None:
    for content in (b"<html>not a matrix</html>", network()[:200], b""):
        usair.files["USAir.mat"] = content
        with pytest.raises(FileFormatError, match=r"USAir\.mat cannot be read as network_mat"):
            download("usair")
    assert nothing_left(cache)


def test_an_interrupted_transfer_leaves_nothing_and_can_be_repeated(usair: Site, cache: Path) -> None:
    usair.cuts = [10] * 4
    with pytest.raises(DownloadError, match="broke off after 40 of"):
        download("usair")
    assert nothing_left(cache)
    assert download("usair").is_file()


def test_ctrl_c_leaves_nothing(usair: Site, cache: Path) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download("usair", progress=stop)
    assert nothing_left(cache)


def test_a_full_disk_leaves_nothing(usair: Site, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(gr.GraphrepError, match=r"No space left while writing .*usair\.npz; nothing was written"):
        download("usair")
    assert nothing_left(cache)


def test_without_network_the_error_says_what_to_do(usair: Site, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(DownloadError, match="cannot be reached: Temporary failure in name resolution") as caught:
        download("usair")
    assert "--data-dir FOLDER or GRAPHREP_DATA=FOLDER, where FOLDER/linkpred/usair.npz exists" in caught.value.hint
    assert nothing_left(cache)


def test_loading_never_downloads(usair: Site) -> None:
    with pytest.raises(FileFormatError, match="not there") as caught:
        gr.load("usair")
    assert caught.value.hint.startswith("graphrep data get linkpred/usair; or --data-dir")
    assert usair.asked == []


def test_sets_without_an_address_are_refused() -> None:
    with pytest.raises(DownloadError, match=r"no address to download attributed/wiki from \(it was made from karen"):
        download("wiki")
    with pytest.raises(DownloadError, match="built from installed packages"):
        download("digits")
    with pytest.raises(gr.errors.UnknownNameError, match='Did you mean "cora"'):
        download("coraa")


def test_a_folder_that_cannot_be_made(usair: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileFormatError, match="cannot be made"):
        download("usair", tmp_path / "file")


# forms of files


class Python2Pickler(pickle._Pickler):  # type: ignore[name-defined]
    """Writes bytes and text as Python 2 did: both as byte strings."""

    dispatch: ClassVar[dict[type, Any]] = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def save_string(self, value: bytes | str) -> None:
        raw = value.encode("latin-1") if isinstance(value, str) else value
        self.write(pickle.BINSTRING + len(raw).to_bytes(4, "little") + raw)
        self.memoize(value)

    dispatch[bytes] = dispatch[str] = save_string


def pickled(value: Any, *, python2: bool = True) -> bytes:
    file = io.BytesIO()
    (Python2Pickler if python2 else pickle.Pickler)(file, 2).dump(value)
    return file.getvalue()


@pytest.mark.parametrize("python2", [True, False])
def test_pickles_are_read_without_running_them(python2: bool) -> None:
    rng = np.random.default_rng(0)
    for array in (rng.random((3, 4)), rng.integers(-9, 9, 7, dtype=np.int32), np.asfortranarray(rng.random((2, 3)))):
        found = as_array(read_instructions(pickled(array, python2=python2), "a"), "a")
        assert np.array_equal(found, array)
        assert found.dtype == array.dtype
    big = np.arange(4, dtype=">i4")
    assert as_array(read_instructions(pickled(big, python2=python2), "a"), "a").tolist() == [0, 1, 2, 3]
    matrix = sp.random(5, 6, 0.4, format="csr", random_state=0, dtype=np.float32)
    found = as_csr(read_instructions(pickled(matrix, python2=python2), "m"), "m")
    assert (found != matrix).nnz == 0
    from collections import defaultdict

    lists = defaultdict(list, {0: [1, 2], 5: [], 300: [70_000]})
    assert as_lists(read_instructions(pickled(lists, python2=python2), "g"), "g").T.tolist() == [
        [0, 1],
        [0, 2],
        [300, 70000],
    ]
    assert as_lists(read_instructions(pickled({1: [2]}, python2=python2), "g"), "g").T.tolist() == [[1, 2]]


class _Harm:
    def __reduce__(self) -> Any:
        return (print, ("run",))


def test_a_hostile_pickle_does_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    call = read_instructions(pickled(_Harm(), python2=False), "x")
    assert capsys.readouterr().out == ""
    assert call.name.endswith("print")
    for convert in (as_array, as_csr, as_lists):
        with pytest.raises(FileFormatError, match="x does not hold"):
            convert(call, "x")
    with pytest.raises(FileFormatError, match="x does not hold an array"):
        as_array(read_instructions(pickled(np.array([print], dtype=object), python2=False), "x"), "x")
    for broken in (b"", b"\x80\x02", pickled([1, 2])[:-3], b"\x80\x02(.", b"\x80\x02Pabc\n.", b"garbage"):
        with pytest.raises(FileFormatError):
            as_array(read_instructions(broken, "x"), "x")


def planetoid_files(x: Any, y: np.ndarray, edges: np.ndarray, train: int, test: np.ndarray) -> list[bytes]:
    """The seven files for a graph whose test nodes are `test`, in that order."""
    first = int(test.min())
    onehot = np.eye(int(y.max()) + 1, dtype=np.int32)[y]
    lists: dict[int, list[int]] = {}
    for i, j in edges.T.tolist():
        lists.setdefault(i, []).append(j)
    x = sp.csr_matrix(x, dtype=np.float32)
    parts = [pickled(p) for p in (x[test], x[:first], onehot[:train], onehot[test], onehot[:first], lists)]
    return [*parts, "\n".join(map(str, test)).encode()]


def test_planetoid_rows_are_put_in_their_place() -> None:
    rng = np.random.default_rng(0)
    x = np.where(rng.random((40, 6)) < 0.4, 1.0, 0.0)
    y = np.r_[0, 1, 2, rng.integers(0, 3, 37)]
    test = np.array([35, 38, 31, 39, 33, 30])  # 32, 34, 36, 37 belong to nobody
    x[[32, 34, 36, 37]], y[[32, 34, 36, 37]] = 0, 0
    edges = rng.integers(0, 40, (2, 90))
    names = ["tx", "allx", "y", "ty", "ally", "graph", "test.index"]
    found = FORMS["planetoid"](planetoid_files(x, y, edges, 3, test), names)
    matrix = sp.csr_array((found["x_data"], found["x_indices"].astype(int), found["x_indptr"]), shape=found["x_shape"])
    assert np.array_equal(matrix.toarray(), x)
    assert found["y"].tolist() == y.tolist()
    assert found["test_idx"].tolist() == sorted(test.tolist())
    assert found["train_idx"].tolist() == [0, 1, 2]
    assert found["unlabeled_idx"].tolist() == [32, 34, 36, 37]
    assert found["raw_edge_index"].shape == (2, 90)
    with pytest.raises(FileFormatError, match="do not fit together"):
        FORMS["planetoid"]([*planetoid_files(x, y, edges, 3, test[:-1])[:-1], b"30 31"], names)


def test_archives_of_two_matrices() -> None:
    rng = np.random.default_rng(0)
    adj = sp.random(8, 8, 0.3, format="csr", random_state=1)
    attr = sp.random(8, 5, 0.4, format="csr", random_state=2)
    labels = rng.integers(0, 3, 8)
    file = io.BytesIO()
    pieces = {
        f"{k}_{p}": getattr(m, p)
        for k, m in (("adj", adj), ("attr", attr))
        for p in ("data", "indices", "indptr", "shape")
    }
    np.savez(file, **pieces, labels=labels, names=np.array([{}], dtype=object))
    found = FORMS["csr_npz"]([file.getvalue()], ["a.npz"])
    dense = (adj + adj.T).toarray() != 0
    np.fill_diagonal(dense, False)
    assert np.array_equal(np.stack(np.nonzero(dense)), found["edge_index"])
    assert found["raw_edge_index"].shape[1] == adj.nnz
    assert np.allclose(found["x_data"], attr.data)
    assert found["y"].tolist() == labels.tolist()
    with pytest.raises(FileFormatError, match=r"a\.npz cannot be read as csr_npz"):
        FORMS["csr_npz"]([b"PK\x03\x04junk"], ["a.npz"])


def test_people_of_a_college() -> None:
    file = io.BytesIO()
    scipy.io.savemat(file, {"A": sp.csc_array(np.array([[0, 1], [1, 0]])), "local_info": np.arange(14).reshape(2, 7)})
    found = FORMS["facebook100"]([file.getvalue()], ["C.mat"])
    assert found["edge_index"].tolist() == [[0, 1], [1, 0]]
    assert "raw_edge_index" not in found
    assert found["local_info"].dtype == np.int32
    with pytest.raises(FileFormatError, match="no matrix net"):
        FORMS["network_mat"]([file.getvalue()], ["C.mat"])


# real sets


@pytest.mark.slow
@pytest.mark.parametrize("entry", [e for e in cards.list_datasets() if e.download], ids=lambda e: e.name)
def test_content_checksums_are_those_of_the_files(data_root: Path, entry: cards.Card) -> None:
    with np.load(data_root / entry.file) as stored:
        assert content_sha256(stored) == entry.download.content


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cora", "citeseer"])
def test_planetoid_files_give_the_archives(data_root: Path, name: str) -> None:
    """Files made from the archive as their authors published them lead back to it."""
    graph = gr.load(name, data_root)
    with np.load(data_root / "planetoid" / f"{name}.npz") as stored:
        raw = stored["raw_edge_index"].astype(np.int64)
    x = sp.csr_matrix(
        (graph.x.values().numpy(), graph.x.col_indices().numpy(), graph.x.crow_indices().numpy()), shape=graph.x.shape
    )
    test = graph.test_idx[torch.randperm(1000, generator=torch.Generator().manual_seed(0))].numpy()
    files = planetoid_files(x, graph.y.numpy(), raw, len(graph.train_idx), test)
    names = ["tx", "allx", "y", "ty", "ally", "graph", "test.index"]
    assert content_sha256(FORMS["planetoid"](files, names)) == cards.card(name).download.content
