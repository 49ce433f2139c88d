"""The graphs that everything is measured on: generated from a seed, the same with any number of threads.

R-MAT: Chakrabarti, Zhan, Faloutsos, "R-MAT: a recursive model for graph mining", SDM 2004.
Power law: Chung and Lu, "Connected components in random graphs with given expected degree sequences", 2002.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

__all__ = ["GRAPHS", "BenchGraph", "cache_dir", "load_graph", "powerlaw", "rmat", "write_edges"]

IntArray = npt.NDArray[np.int32]
_GAMMA = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class BenchGraph:
    """An undirected graph without self-loops or duplicates: both directions stored, rows sorted.

    Attributes:
        name: what the results call it; a generated graph says so.
        rowptr: (N + 1,) int32.
        col: (E,) int32, sorted within each row.
    """

    name: str
    rowptr: IntArray
    col: IntArray

    @property
    def num_nodes(self) -> int:
        return self.rowptr.size - 1

    @property
    def nnz(self) -> int:
        return self.col.size

    @property
    def degree(self) -> IntArray:
        return np.diff(self.rowptr)

    def row(self) -> IntArray:
        """(E,) row of each entry."""
        return np.repeat(np.arange(self.num_nodes, dtype=np.int32), self.degree)

    def facts(self) -> dict[str, Any]:
        """What a result file says about the graph."""
        degree = self.degree
        return {
            "graph": self.name,
            "num_nodes": self.num_nodes,
            "stored_entries": self.nnz,
            "max_degree": int(degree.max(initial=0)),
            "isolated": int((degree == 0).sum()),
        }


@numba.njit(inline="always")  # type: ignore[untyped-decorator]
def _mix(x: Any) -> Any:
    """splitmix64: a bijection of 64-bit words whose outputs on 0, 1, 2, ... pass for random."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@numba.njit(inline="always")  # type: ignore[untyped-decorator]
def _uniform(seed: Any, counter: Any) -> Any:
    return (_mix(seed + (counter + np.uint64(1)) * _GAMMA) >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@numba.njit(parallel=True, cache=True)  # type: ignore[untyped-decorator]
def _rmat_keys(count: int, start: int, num_nodes: int, levels: int, a: float, b: float, c: float, seed: Any) -> Any:
    """(count,) keys low * N + high of sampled pairs; -1 for self-loops and for ids beyond N."""
    keys = np.empty(count, np.int64)
    for e in numba.prange(count):
        u, v = 0, 0
        for level in range(levels):
            r = _uniform(seed, np.uint64((start + e) * levels + level))
            u, v = 2 * u, 2 * v
            if r >= a + b:
                u += 1
            if (a <= r < a + b) or r >= a + b + c:
                v += 1
        low, high = min(u, v), max(u, v)
        keys[e] = low * num_nodes + high if high < num_nodes and low != high else -1
    return keys


@numba.njit(parallel=True, cache=True)  # type: ignore[untyped-decorator]
def _powerlaw_keys(count: int, start: int, num_nodes: int, exponent: float, offset: float, seed: Any) -> Any:
    """(count,) keys of pairs whose ends are drawn with probability ~ (i + offset)^(-1/(exponent - 1))."""
    keys = np.empty(count, np.int64)
    power = 1.0 - 1.0 / (exponent - 1.0)
    first, last = offset**power, (num_nodes + offset) ** power
    for e in numba.prange(count):
        u = int((first + _uniform(seed, np.uint64(2 * (start + e))) * (last - first)) ** (1.0 / power) - offset)
        v = int((first + _uniform(seed, np.uint64(2 * (start + e) + 1)) * (last - first)) ** (1.0 / power) - offset)
        u, v = max(0, min(u, num_nodes - 1)), max(0, min(v, num_nodes - 1))
        low, high = min(u, v), max(u, v)
        keys[e] = low * num_nodes + high if low != high else -1
    return keys


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _to_csr(keys: Any, num_nodes: int, label: Any) -> Any:
    """Both directions of the keyed pairs under new ids, as rows in ascending order.

    Two counting sorts: the transpose of a matrix comes out with sorted rows, and this matrix is its own transpose.
    """
    rowptr = np.zeros(num_nodes + 1, np.int32)
    for key in keys:
        rowptr[label[key // num_nodes] + 1] += 1
        rowptr[label[key % num_nodes] + 1] += 1
    for i in range(num_nodes):
        rowptr[i + 1] += rowptr[i]
    cursor = rowptr[:-1].copy()
    unsorted = np.empty(2 * keys.size, np.int32)
    for key in keys:
        u, v = label[key // num_nodes], label[key % num_nodes]
        unsorted[cursor[u]] = v
        cursor[u] += 1
        unsorted[cursor[v]] = u
        cursor[v] += 1
    cursor = rowptr[:-1].copy()
    col = np.empty_like(unsorted)
    for i in range(num_nodes):
        for position in range(rowptr[i], rowptr[i + 1]):
            j = unsorted[position]
            col[cursor[j]] = i
            cursor[j] += 1
    return rowptr, col


def _collect(sample: Callable[[int, int], npt.NDArray[np.int64]], num_pairs: int, seed: int) -> npt.NDArray[np.int64]:
    """Exactly `num_pairs` distinct keys: sample, drop repeats, sample more, then thin out at random."""
    keys = np.empty(0, np.int64)
    drawn = 0
    while keys.size < num_pairs:
        count = int(1.15 * (num_pairs - keys.size)) + 1024
        fresh = sample(count, drawn)
        drawn += count
        keys = np.unique(np.concatenate([keys, fresh[fresh >= 0]]))
    chosen = np.random.default_rng(seed).permutation(keys.size)[:num_pairs]
    return np.sort(keys[chosen])


def _build(name: str, num_nodes: int, keys: npt.NDArray[np.int64], seed: int) -> BenchGraph:
    label = np.random.default_rng(seed + 1).permutation(num_nodes).astype(np.int32)
    return BenchGraph(name, *_to_csr(keys, num_nodes, label))


def rmat(
    num_nodes: int,
    num_stored: int,
    *,
    seed: int = 0,
    probabilities: tuple[float, float, float] = (0.57, 0.19, 0.19),
    name: str | None = None,
) -> BenchGraph:
    """A symmetric R-MAT graph with permuted ids; `num_stored` counts both directions."""
    levels = max(1, int(np.ceil(np.log2(max(num_nodes, 2)))))
    a, b, c = probabilities

    def sample(count: int, start: int) -> npt.NDArray[np.int64]:
        keys: npt.NDArray[np.int64] = _rmat_keys(count, start, num_nodes, levels, a, b, c, np.uint64(seed))
        return keys

    return _build(name or f"rmat-{num_nodes}", num_nodes, _collect(sample, num_stored // 2, seed), seed)


def powerlaw(
    num_nodes: int, num_edges: int, *, exponent: float = 2.5, seed: int = 0, name: str | None = None
) -> BenchGraph:
    """A Chung-Lu graph of `num_edges` undirected edges with shuffled ids.

    The ten-node offset in the weights keeps the largest hub near 20 % of what the bare power law would give,
    the size that deduplication leaves of it in simple graphs.
    """

    def sample(count: int, start: int) -> npt.NDArray[np.int64]:
        keys: npt.NDArray[np.int64] = _powerlaw_keys(count, start, num_nodes, exponent, 10.0, np.uint64(seed))
        return keys

    return _build(name or f"powerlaw-{num_nodes}", num_nodes, _collect(sample, num_edges, seed), seed)


def _public(relative: str, name: str, key: str = "edge_index") -> BenchGraph | None:
    """A graph of the data root, or None where GRAPHREP_DATA does not hold it; a directed `key` gets both directions."""
    root = os.environ.get("GRAPHREP_DATA")
    path = Path(root) / f"{relative}.npz" if root else None
    if path is None or not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as archive:
        num_nodes, edge_index = int(archive["num_nodes"]), archive[key]
    if key != "edge_index":
        edge_index = np.unique(np.concatenate([edge_index, edge_index[::-1]], 1).astype(np.int64), axis=1)
    order = np.lexsort((edge_index[1], edge_index[0]))
    rowptr = np.zeros(num_nodes + 1, np.int32)
    rowptr[1:] = np.cumsum(np.bincount(edge_index[0], minlength=num_nodes))
    return BenchGraph(name, rowptr, edge_index[1][order].astype(np.int32))


def _cora() -> BenchGraph:
    return _public("planetoid/cora", "cora") or powerlaw(2_708, 5_278, exponent=2.9, name="generated-cora-size")


def _pubmed() -> BenchGraph:
    real = _public("planetoid/pubmed_partial", "pubmed")
    return real or powerlaw(19_717, 44_324, exponent=2.9, name="generated-pubmed-size")


def _physics() -> BenchGraph:
    real = _public("attributed/coauthor_physics", "coauthor-physics")
    return real or powerlaw(34_493, 247_962, exponent=2.9, name="generated-physics-size")


def _blogcatalog() -> BenchGraph:
    real = _public("embedding/blogcatalog", "blogcatalog")
    return real or powerlaw(10_312, 333_983, name="generated-blogcatalog-size")


def _acm() -> BenchGraph:
    return _public("clustering/acm", "acm") or powerlaw(3_025, 13_128, name="generated-acm-size")


def _citeseer() -> BenchGraph:
    return _public("clustering/citeseer", "citeseer") or powerlaw(3_327, 4_552, name="generated-citeseer-size")


def _usps() -> BenchGraph:
    real = _public("clustering/usps", "usps-knn3", "knn3_edge_index")
    return real or powerlaw(9_298, 21_452, exponent=4.0, name="generated-usps-size")


GRAPHS: dict[str, Callable[[], BenchGraph]] = {
    "tiny": lambda: rmat(500, 4_000, name="rmat-500"),
    "cora": _cora,
    "pubmed": _pubmed,
    "rmat-200k": lambda: rmat(200_000, 5_000_000, name="rmat-200k"),
    "rmat-1m": lambda: rmat(1_000_000, 10_000_000, name="rmat-1m"),
    "tiny-powerlaw": lambda: powerlaw(400, 2_000, name="powerlaw-400"),
    "physics": _physics,
    "blogcatalog": _blogcatalog,
    "acm": _acm,
    "citeseer": _citeseer,
    "usps": _usps,
    "powerlaw-10k": lambda: powerlaw(10_000, 100_000, name="powerlaw-10k"),
    "powerlaw-100k": lambda: powerlaw(100_000, 1_000_000, name="powerlaw-100k"),
    "powerlaw-1m": lambda: powerlaw(1_000_000, 10_000_000, name="powerlaw-1m"),
}


def cache_dir() -> Path:
    """Where generated graphs and edge files are kept between processes (GRAPHREP_BENCH_CACHE, else the temp folder)."""
    root = os.environ.get("GRAPHREP_BENCH_CACHE") or Path(tempfile.gettempdir()) / f"graphrep-bench-{os.getuid()}"
    path = Path(root)
    path.mkdir(parents=True, exist_ok=True)
    return path


def load_graph(key: str) -> BenchGraph:
    """The graph of that key in :data:`GRAPHS`, from the cache if it was generated before."""
    if key in ("cora", "pubmed", "physics", "blogcatalog", "acm", "citeseer", "usps"):
        return GRAPHS[key]()
    path = cache_dir() / f"{key}-v1.npz"
    if path.is_file():
        with np.load(path, allow_pickle=False) as archive:
            return BenchGraph(str(archive["name"]), archive["rowptr"], archive["col"])
    graph = GRAPHS[key]()
    partial = path.with_name(f".{path.stem}-{os.getpid()}.npz")
    np.savez(partial, name=np.array(graph.name), rowptr=graph.rowptr, col=graph.col)
    partial.replace(path)
    return graph


def write_edges(graph: BenchGraph, path: Path) -> None:
    """Each undirected edge once, as two tab-separated integer ids a line, in shuffled order."""
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    row = graph.row()
    once = np.flatnonzero(row < graph.col)
    np.random.default_rng(0).shuffle(once)
    table = pa.table({"source": row[once], "target": graph.col[once]})
    partial = path.with_name(f".{path.name}-{os.getpid()}")
    pa_csv.write_csv(table, partial, pa_csv.WriteOptions(include_header=False, delimiter="\t"))
    partial.replace(path)
