"""What the fuzz program starts from: small files of every format, and files that are wrong in a planned way."""

from __future__ import annotations

import gzip
import io
import json
import random
import struct
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

__all__ = ["BUILDERS", "KINDS", "seeds"]

KINDS = {
    "csv": 30, "csv.gz": 4, "npz": 18, "graphml": 9, "gexf": 8, "gml": 6, "json": 9, "parquet": 6, "arrow": 4, "pt": 6,
}  # fmt: skip
"""Ending -> how often it is drawn, in percent."""

_EDGES = np.array([[0, 1, 1, 2, 2, 0, 3], [1, 0, 2, 1, 0, 2, 3]])


def _saved(put: Callable[[Any], None]) -> bytes:
    file = io.BytesIO()
    put(file)
    return file.getvalue()


def npz(**arrays: Any) -> bytes:
    """An uncompressed archive."""
    return _saved(lambda file: np.savez(file, **arrays))


def _texts() -> list[bytes]:
    numbers = "".join(f"{i * 7 % 23},{i * 5 % 19}\n" for i in range(30))
    words = "source;target;weight\n" + "".join(f"n{i % 5};m{i % 3};{i / 7:.3f}\n" for i in range(12))
    quoted = 'from\tto\n"a ""b"""\tc d\n# note\n\n\u00e9\t"x,y"\n'
    spaces = "% note\n1 2 0.5\n2  3 1e-3\r\n-4 5 7\n"
    return [text.encode() for text in (numbers, words, quoted, spaces, "\ufeffa|b\nc|d\n")]


_PAIRS = np.array([[0, 1, 2], [1, 0, 1]])
_TEXT = {"text_bytes": np.frombuffer(b"abcd", np.uint8), "text_offsets": np.array([0, 1, 3, 3, 4])}
_KINDS: tuple[dict[str, Any], ...] = (  # several kinds of nodes; see graphrep.data.npz_kinds
    {
        "num_p": np.int64(3), "num_a": np.int64(2), "rel_pa": _PAIRS, "y": np.arange(3), "target_type": np.array("p"),
        "x_p": np.ones((3, 2)), "train_20": np.array([0]), "val_20": np.array([1]),
    },
    {
        "num_users": np.int64(3), "num_items": np.int64(2), "train_user": _PAIRS[0], "train_item": _PAIRS[1],
        "train_count": np.array([1, 2, 3]), "test_user": np.array([0]), "test_item": np.array([0]),
    },
    {
        "num_entities": np.int64(4), "num_relations": np.int64(2), "train": np.array([[0, 1], [0, 1], [2, 3]]),
        "entity_id_bytes": _TEXT["text_bytes"], "entity_id_offsets": _TEXT["text_offsets"],
    },
    {
        "num_nodes": np.int64(4), "train_pos": np.array([[0, 1], [1, 2]]), "val_pos": np.array([[2], [3]]),
        "val_neg": np.array([[0], [3]]), "test_pos": np.array([[0], [2]]), "test_neg": np.array([[1], [3]]),
    },
    {"edge_index": np.array([[0, 1], [1, 2]]), "num_nodes": np.int64(4), **_TEXT},
)  # fmt: skip


def _archives() -> list[bytes]:
    import scipy.sparse as sp

    x = sp.csr_array(np.eye(4, 3, dtype=np.float32))
    whole = {
        "edge_index": _EDGES, "num_nodes": np.int64(4), "edge_weight": np.ones(7), "y": np.arange(4),
        "x_indptr": x.indptr, "x_indices": x.indices, "x_data": x.data, "x_shape": np.array([4, 3]),
        "train_idx": np.array([0, 1]), "ids": np.array(["a", "b", "c", "d"]),
    }  # fmt: skip
    dense = {"edge_index": _EDGES.astype(np.int32), "x": np.ones((4, 2)), "directed": np.uint8(1)}
    matrix = sp.coo_array((np.arange(7) + 1.0, _EDGES), shape=(4, 4))
    return [
        npz(**whole), npz(**dense), _saved(lambda f: np.savez_compressed(f, **whole)),
        *(_saved(lambda f, m=m: sp.save_npz(f, m)) for m in (matrix.tocsr(), matrix, matrix.tocsc().astype(np.int8))),
        *(npz(**arrays) for arrays in _KINDS),
    ]  # fmt: skip


def _graph(**changes: Any) -> Any:
    import graphrep as gr

    parts: dict[str, Any] = {
        "edge_weight": np.arange(7, dtype=np.float32), "x": np.ones((4, 2), dtype=np.float32), "y": np.arange(4) % 2,
    }  # fmt: skip
    return gr.Graph(torch.from_numpy(_EDGES), **{**parts, **changes})


def _written(kind: str) -> list[bytes]:
    """What graphrep itself writes in some format."""
    import tempfile
    from pathlib import Path

    import graphrep as gr

    graphs = (_graph(), _graph(ids=["a", "b&", "<c>", "é"], y=None), _graph(directed=True, x=None))
    with tempfile.TemporaryDirectory() as folder:
        return [gr.write(graph, Path(folder) / f"g.{kind}").read_bytes() for graph in graphs]


def _gml() -> list[bytes]:
    import networkx as nx

    people = nx.Graph()
    people.add_weighted_edges_from([("Valjean", "Javert", 17), ("Cosette", "Valjean", 31.5), ("Marius", "Cosette", 21)])
    other = "graph [ directed 1 node [ id 1 y 0 ] node [ id 2 y 1 v 1.5e3 ] edge [ source 1 target 2 value 3 ] ]"
    return ["\n".join(nx.generate_gml(people)).encode(), other.encode()]


def _json() -> list[bytes]:
    import networkx as nx

    graph = nx.relabel_nodes(nx.path_graph(4, nx.MultiDiGraph), {0: "a", 3: "d"})
    return [*_written("json"), json.dumps(nx.adjacency_data(graph)).encode()]


def _arrow() -> list[bytes]:
    import pyarrow as pa

    tables = [
        pa.table({"source": _EDGES[0], "target": _EDGES[1], "weight": np.ones(7)}),
        pa.table({"a": pa.array(list("abcabca")).dictionary_encode(), "b": list("xyzxyzx")}),
    ]
    return [_stream(opener, table) for table in tables for opener in (pa.ipc.new_file, pa.ipc.new_stream)]


def _stream(opener: Any, table: Any) -> bytes:
    sink = io.BytesIO()
    with opener(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _pt() -> list[bytes]:
    from torch_geometric.data import Data

    data = Data(x=torch.eye(4), edge_index=torch.from_numpy(_EDGES), y=torch.arange(4), name="g")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that CSR is in beta
        sparse = [torch.eye(4).to_sparse(), torch.eye(4).to_sparse_csr()]
    more = [{"edge_index": torch.from_numpy(_EDGES), "x": x} for x in sparse]
    return [*_written("pt"), *(_saved(lambda file, d=d: torch.save(d, file)) for d in (data, *more))]


def seeds() -> dict[str, list[bytes]]:
    """Well-formed files by ending."""
    texts = _texts()
    return {
        "csv": texts, "csv.gz": [gzip.compress(t) for t in texts], "npz": _archives(), "graphml": _written("graphml"),
        "gexf": _written("gexf"), "gml": _gml(), "json": _json(), "parquet": _written("parquet"), "arrow": _arrow(),
        "pt": _pt(),
    }  # fmt: skip


_DTYPES = ("<f4", "<f8", "<i1", "<u8", "<i8", "<c8", "|b1", "<U3", "|S2", "<M8[D]", "|V4", "<f2", ">i8")
_NUMBERS = (-1, 0, 3, 2**31 - 1, 2**31, 2**40, 2**62, -(2**63))


def _odd_array(rng: random.Random) -> np.ndarray[Any, Any]:
    shape = tuple(rng.choice((0, 1, 2, 3, 4, 7)) for _ in range(rng.choice((0, 1, 1, 2, 2, 2, 3))))
    size = int(np.prod(shape, dtype=np.int64))
    values = [rng.choice(_NUMBERS) if rng.random() < 0.3 else rng.randrange(4) for _ in range(size)]
    array = np.array(values, dtype=np.int64).reshape(shape)
    dtype = np.dtype(rng.choice(_DTYPES))
    if dtype.kind == "f" and rng.random() < 0.3:
        return np.where(array == 2, rng.choice((np.nan, np.inf)), array % 9).astype(dtype)
    with np.errstate(all="ignore"):
        return array.view(dtype)[..., : shape[-1]] if dtype.kind in "MV" and shape else array.astype(dtype)


def odd_npz(rng: random.Random) -> bytes:
    """An archive of the right names with arrays of the wrong kinds."""
    names = ("edge_index", "num_nodes", "edge_weight", "x", "y", "ids", "train_idx", "x_indptr", "x_indices", "x_data")
    more = (
        "train_user",
        "train_item",
        "num_users",
        "rel_pa",
        "num_p",
        "train_pos",
        "num_relations",
        "train",
        "text_bytes",
        "text_offsets",
        "x_shape",
        "directed",
        "feature_names",
        "format",
        "shape",
        "data",
        "indices",
        "indptr",
        "row",
        "col",
    )
    arrays: dict[str, Any] = {"edge_index": _EDGES} if rng.random() < 0.8 else {}
    for _ in range(rng.randrange(1, 6)):
        arrays[rng.choice(names + more)] = _odd_array(rng)
    if rng.random() < 0.3:
        arrays |= {
            "format": np.array(rng.choice(["csr", "coo", "bsr", "dia", "csc", "lil"])),
            "shape": np.array([4, 4]),
        }
        arrays |= {"data": np.ones(3), "indices": np.array([0, 9, 1]), "indptr": np.array([0, 5, 1, 2, 3])}
    return npz(**arrays)


def lying_npz(rng: random.Random) -> bytes:
    """A header that promises terabytes, or a member that unpacks to 1000 times its size."""
    shape = rng.choice(["(2, 100000000000)", "(2, -1)", "(99999999999999999999,)", "(2, 1 << 40)", "()", "(2, 7.5)"])
    header = f"{{'descr': '{rng.choice(_DTYPES)}', 'fortran_order': {rng.random() < 0.5}, 'shape': {shape}, }}\n"
    body = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
    packed = rng.random() < 0.5
    content = body + b"\0" * (rng.choice((0, 64, 1 << 22)) if packed else rng.randrange(200))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        archive.writestr("edge_index.npy", content)
    raw = bytearray(file.getvalue())
    if rng.random() < 0.5:  # the directory lies too
        at = raw.rfind(b"PK\x01\x02")
        raw[at + 24 : at + 28] = struct.pack("<I", rng.choice((0, 2**31, 2**32 - 1)))
    return bytes(raw)


def bomb_gz(rng: random.Random) -> bytes:
    """A packed text of a hundred megabytes, or of rows that repeat."""
    if rng.random() < 0.05:
        return gzip.compress(b"1 2\n" * (25 << 20), compresslevel=1)
    return gzip.compress(b"1,2\n" * rng.randrange(1, 50_000), compresslevel=1)


def odd_parquet(rng: random.Random) -> bytes:
    """Columns of any type, with nulls."""
    import pyarrow as pa
    import pyarrow.parquet

    kinds: list[Any] = [
        pa.array([1, None, 3]),
        pa.array(["a", None, ""]),
        pa.array([1.5, float("nan"), None]),
        pa.array([2**63, 1, 2], pa.uint64()),
        pa.array([b"\xff", b"a", b"b"]),
        pa.array([[1], [2, 3], None]),
        pa.array([None] * 3),
        pa.array([True, False, True]),
        pa.array(["x", "y", "x"]).dictionary_encode(),
        pa.array([1, 2, 3], pa.timestamp("s")),
        pa.array([{"a": 1}, {"a": 2}, None]),
        pa.array(["a\0b", "c", "d"]),
        pa.array([1, 2, 3], pa.int8()),
    ]
    names = rng.choice([["source", "target", "weight"], ["a", "b", "c"], ["a", "a", "b"], ["src", "x.y", "dst"]])
    columns = [rng.choice(kinds) for _ in range(rng.choice((1, 2, 2, 3, 3)))]
    table = pa.table(columns, names=names[: len(columns)])
    return _saved(lambda file: pa.parquet.write_table(table, file))


def odd_pt(rng: random.Random) -> bytes:
    """A dictionary of the right names with tensors and values of the wrong kinds."""
    values: list[Any] = [
        torch.tensor([[0, 5], [1, 2]]),
        torch.tensor([[0.0, 1.0]]),
        torch.full((2, 3), float("nan")),
        torch.zeros(2, 0),
        torch.tensor(3),
        "text",
        None,
        7,
        [1, "a"],
        {"a": 1},
        torch.eye(3).to_sparse(),
        torch.eye(2, dtype=torch.complex64),
        torch.tensor([[2**40], [0]]),
        torch.ones(3, dtype=torch.bool),
        torch.empty(2, 3, device="meta"),
    ]
    names = ("edge_index", "x", "y", "edge_weight", "edge_attr", "num_nodes", "ids", "train_mask", "name", "directed")
    state = {"edge_index": torch.from_numpy(_EDGES)} | {rng.choice(names): rng.choice(values) for _ in range(3)}
    return _saved(lambda file: torch.save(state if rng.random() < 0.8 else (state, rng.choice(values)), file))


BUILDERS: dict[str, list[Callable[[random.Random], bytes]]] = {
    "npz": [odd_npz, odd_npz, lying_npz], "csv.gz": [bomb_gz], "parquet": [odd_parquet], "pt": [odd_pt],
}  # fmt: skip
"""Ending -> makers of files that are wrong in a planned way."""
