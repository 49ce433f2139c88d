"""FastRP and its relatives as other code computes them. Rivals are handed the random projection; ours generates it
inside its timing.

The official algorithm is written by us from its definition: Chen et al., "Fast and Accurate Network Embeddings via Very
Sparse Random Projection", CIKM 2019 (sparse projection, sparse powers in float64, row normalisation, weighted sum,
column standardisation).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from benchmarks.graphs import BenchGraph, cache_dir, write_edges
from benchmarks.registry import Extrapolated, Method, Skip

__all__ = ["RIVALS", "edge_file", "threads"]

BLOCK = 32  # columns at a time where the official algorithm does not fit in memory
BLOCK_SECONDS = 100.0  # no new block is started after this
_FITS = 2.0e9  # bytes of one power, sparse float64, up to which all columns are done at once

Result = Callable[[], tuple[Tensor, ...]]


def threads() -> int:
    """What the runner was told to use."""
    return int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))


def edge_file(graph: BenchGraph) -> Path:
    """The graph as a tab-separated edge list, written once."""
    path = cache_dir() / f"{graph.name}-v1.tsv"
    if not path.is_file():
        write_edges(graph, path)
    return path


def _transition(graph: BenchGraph, dtype: Any) -> sp.csr_array:
    """D^-1 A; rows of isolated nodes stay empty."""
    degree = graph.degree
    values = np.repeat(1.0 / np.maximum(degree, 1), degree).astype(dtype)
    return sp.csr_array((values, graph.col, graph.rowptr), shape=(graph.num_nodes, graph.num_nodes))


def _unit_rows(power: Any) -> Any:
    """Rows of a sparse matrix divided by their norms; zero rows stay zero."""
    norm = np.sqrt(power.multiply(power).sum(axis=1))
    return sp.diags_array(1.0 / np.where(norm > 0, norm, 1.0)) @ power


def _official_columns(matrix: Any, start: Any, weights: tuple[float, ...]) -> Any:
    """Official algorithm on the given columns of the (scaled, sparse) projection; (N, columns) float64."""
    powers = []
    power = start
    for _ in weights:
        power = matrix @ power
        powers.append(power)
    total = np.zeros(start.shape)
    for weight, item in zip(weights, powers, strict=True):
        if weight != 0:
            total += weight * _unit_rows(item).toarray()
    total -= total.mean(axis=0)
    deviation = total.std(axis=0)
    total /= np.where(deviation > 0, deviation, 1.0)
    return total


def _official(inputs: Any) -> Callable[[], Any]:
    matrix, start = _transition(inputs.graph, np.float64), inputs.sparse_start()
    if inputs.graph.num_nodes * inputs.dim * 12.0 > _FITS:
        return lambda: _official_in_blocks(matrix, start, inputs.weights)
    return lambda: (torch.from_numpy(_official_columns(matrix, start, inputs.weights)),)


def _official_in_blocks(matrix: Any, start: Any, weights: tuple[float, ...]) -> Extrapolated:
    """Blocks of columns until the time is up. Rows are normalised within a block: the same work, an unused result."""
    begin, measured = time.perf_counter(), []
    blocks = -(-start.shape[1] // BLOCK)
    columns = start.tocsc()
    for number in range(blocks):
        if measured and time.perf_counter() - begin > BLOCK_SECONDS:
            break
        clock = time.perf_counter()
        _official_columns(matrix, columns[:, number * BLOCK : (number + 1) * BLOCK].tocsr(), weights)
        measured.append(time.perf_counter() - clock)
    detail = {
        "columns_per_block": BLOCK, "blocks_measured": len(measured), "blocks_in_all": blocks,
        "block_seconds": measured,
        "why": "sparse float64 powers at full width do not fit in memory; seconds = mean of a block x all blocks",
    }  # fmt: skip
    return Extrapolated(float(np.mean(measured)) * blocks, detail)


def _official_blocked(inputs: Any) -> Callable[[], Any]:
    """The blocked form where the whole fits too: shows what the blocks cost or save."""
    if inputs.graph.num_nodes > 200_000 or inputs.dim <= BLOCK:
        raise Skip("only where both forms can run")
    matrix, start = _transition(inputs.graph, np.float64), inputs.sparse_start().tocsc()

    def blocks() -> Any:
        done = [
            _official_columns(matrix, start[:, first : first + BLOCK].tocsr(), inputs.weights)
            for first in range(0, inputs.dim, BLOCK)
        ]
        return Unchecked(torch.from_numpy(np.concatenate(done, axis=1)))

    return blocks


class Unchecked(tuple[Tensor, ...]):
    """A result of another algorithm (or other random numbers): only shape and finiteness can be compared."""

    def __new__(cls, array: Tensor) -> Unchecked:
        return super().__new__(cls, (array,))


def _scipy(inputs: Any) -> Result:
    matrix, start = _transition(inputs.graph, np.float32), inputs.dense_start()

    def call() -> tuple[Tensor, ...]:
        power, total = start, np.zeros_like(start)
        for weight in inputs.weights:
            power = matrix @ power
            if weight != 0:
                norm = np.sqrt(np.einsum("ij,ij->i", power, power))
                total += power * (weight / np.where(norm > 0, norm, 1.0)).astype(np.float32)[:, None]
        return (torch.from_numpy(total),)

    return call


def _scikit_network(inputs: Any) -> Callable[[], Any]:
    from sknetwork.embedding import RandomProjection

    graph = inputs.graph
    if graph.num_nodes < inputs.dim:
        raise Skip("needs at least as many nodes as dimensions")
    adjacency = sp.csr_matrix(
        (np.ones(graph.nnz, np.float32), graph.col, graph.rowptr), shape=(graph.num_nodes, graph.num_nodes)
    )

    def call() -> Any:
        model = RandomProjection(inputs.dim, n_iter=len(inputs.weights), random_walk=True, random_state=0)
        return Unchecked(torch.from_numpy(model.fit_transform(adjacency)))

    return call


def _pycleora(inputs: Any) -> Callable[[], Any]:
    import pycleora

    graph = pycleora.SparseMatrix.from_files([str(edge_file(inputs.graph))], "source target", num_workers=threads())
    iterations = len(inputs.weights)

    def call() -> Any:
        z = pycleora.embed(graph, inputs.dim, iterations, whiten=False, num_workers=threads())
        return Unchecked(torch.from_numpy(z))

    if inputs.graph.num_nodes <= 20_000:
        _verify_pycleora(graph, call()[0].numpy(), inputs.graph, inputs.dim, iterations)
    return call


def _verify_pycleora(graph: Any, z: Any, bench: BenchGraph, dim: int, iterations: int) -> None:
    """Its iteration is X <- normalise(D^-1 A X) on the very graph that we embed; raises ValueError otherwise."""
    ids = np.array([int(name) for name in graph.entity_ids])
    expected = graph.initialize_deterministically(dim, 0)
    matrix = _transition(bench, np.float32)[ids][:, ids]
    for _ in range(iterations):
        expected = matrix @ expected
        expected /= np.maximum(np.linalg.norm(expected, axis=1, keepdims=True), 1e-12)
    worst = float(np.abs(expected - z).max())
    if not worst < 1e-3:
        raise ValueError(f"pycleora differs from its definition by {worst}")


RIVALS: dict[str, Method] = {
    "official": Method(_official, "scipy", "official algorithm, sparse projection; compare with graphrep-official"),
    "official-blocks": Method(_official_blocked, "scipy", f"the same in blocks of {BLOCK} columns"),
    "scipy-dense": Method(_scipy, "scipy", "csr_array @ float32, numpy row norms, one thread, no standardisation"),
    "scikit-network": Method(_scikit_network, "scikit-network", "RandomProjection: another algorithm, shape checked"),
    "pycleora": Method(_pycleora, "pycleora", "same number of iterations, no whitening, graph built beforehand"),
}
