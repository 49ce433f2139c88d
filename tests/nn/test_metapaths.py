"""Path counts, path similarity, the best partners and the norm of a view, against dense matrices and golden files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from metapath_cases import dense, pairs, random_relation, relation, rows_of, same, similarity
from torch import Tensor

from graphrep.data import HeteroGraph, load
from graphrep.errors import (
    DTypeError,
    EmptyGraphError,
    GraphrepError,
    NonFiniteError,
    ShapeError,
    UnknownNameError,
)
from graphrep.kernels import CSR
from graphrep.nn import (
    MetaPathContext,
    metapath_adjacency,
    metapath_norm,
    path_similarity,
    top_metapath_neighbors,
    top_neighbors,
)
from graphrep.nn._metapath_steps import factors, steps_of

GOLDEN = Path(__file__).parents[1] / "golden" / "meow" / "metapath_a.npz"
PATHS = {"pap": ["PA", "~PA"], "psp": ["PS", "~PS"]}
options = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(params=["cpu", "reference"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GRAPHREP_BACKEND", request.param)
    return str(request.param)


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    with np.load(GOLDEN, allow_pickle=False) as arrays:
        return {key: torch.from_numpy(arrays[key]) for key in arrays.files}


def sparse(matrix: Tensor, *, weighted: bool, index: torch.dtype = torch.int64) -> CSR:
    rows, cols = matrix.nonzero().t()
    value = matrix[rows, cols].double() if weighted else None
    return CSR.from_edge_index(torch.stack([cols, rows]).to(index), value, size=(matrix.shape[1], matrix.shape[0]))


def golden_relations(golden: dict[str, Tensor], index: torch.dtype = torch.int64) -> dict[str, CSR]:
    return {name: sparse(golden[name], weighted=False, index=index) for name in ("PA", "PS")}


# golden files


@pytest.mark.parametrize("index", [torch.int32, torch.int64])
def test_golden_counts_and_similarities(backend: str, golden: dict[str, Tensor], index: torch.dtype) -> None:
    relations = golden_relations(golden, index)
    for name, path in PATHS.items():
        counts = metapath_adjacency(relations, path, dtype=torch.float64)
        assert torch.equal(dense(counts), golden[name])
        torch.testing.assert_close(dense(path_similarity(counts)), golden[f"pathsim_{name}"], rtol=0, atol=1e-15)
    authors = metapath_adjacency(relations, ["~PA", "PS", "~PS", "PA"], dtype=torch.float64)
    assert torch.equal(dense(authors), golden["aspa_counts_APSPA"])


def test_golden_best_partners(backend: str, golden: dict[str, Tensor]) -> None:
    """The published order of ties depends on numpy's sort; scores and numbers of what is kept do not."""
    relations = golden_relations(golden)
    for name, path in PATHS.items():
        k, score = int(golden[f"k_{name}"]), golden[f"pathsim_{name}"]
        wanted = torch.where(golden[f"top_{name}"] > 0, score, 0).sort(1).values
        for ties, self_pairs in (("hash", True), ("index", True), ("index", False)):
            for found in (
                top_neighbors(metapath_adjacency(relations, path), k, ties=ties, self_pairs=self_pairs),  # type: ignore[arg-type]
                top_metapath_neighbors(relations, path, k, ties=ties, self_pairs=self_pairs),  # type: ignore[arg-type]
            ):
                kept = dense(found)
                assert torch.equal(kept, torch.where(kept > 0, golden[name], 0))
                torch.testing.assert_close(torch.where(kept > 0, score, 0).sort(1).values, wanted, rtol=0, atol=1e-15)


def test_golden_views(backend: str, golden: dict[str, Tensor]) -> None:
    views = [dense(metapath_norm(sparse(golden[f"top_{name}"], weighted=True))) for name in PATHS]
    for name, view in zip(PATHS, views, strict=True):
        torch.testing.assert_close(view, golden[f"norm_{name}"], rtol=0, atol=1e-15)
    torch.testing.assert_close(sum(views) / 2, golden["coarse_adj"], rtol=0, atol=1e-15)


def test_golden_contexts(backend: str, golden: dict[str, Tensor]) -> None:
    relations = golden_relations(golden)
    eye = torch.eye(14, dtype=torch.float64)
    torch.testing.assert_close(MetaPathContext(relations, ["PA"])(eye), golden["nei_mean_PA"], rtol=0, atol=1e-15)
    for key, path in (("nei_AS", ["~PA", "PS"]), ("nei_ASP", ["~PA", "PS", "~PS"])):
        reach = metapath_adjacency(relations, path, counts=False)
        assert reach.value is None
        assert torch.equal(dense(reach), golden[key])
        mean = golden[key] / golden[key].sum(1, keepdim=True).clamp(min=1)
        for budget in (0, 1 << 20):
            context = MetaPathContext(relations, path, budget=budget)
            assert context.stored == bool(budget)
            found = context(torch.eye(golden[key].shape[1], dtype=torch.float64))
            torch.testing.assert_close(found, mean, rtol=0, atol=1e-15)


# counts


def chain(relations: dict[str, CSR], path: list[str]) -> Tensor:
    """The dense product, or of patterns the same."""
    out = None
    for name in path:
        step = dense(relations[name.removeprefix("~")])
        step = step.t() if name.startswith("~") else step
        out = step if out is None else out @ step
    assert out is not None
    return out


LONG = [
    ["AP"], ["AP", "PC"], ["AP", "PC", "~PC"], ["AP", "PC", "~PC", "~AP"], ["AP", "PC", "~PC", "~AP", "AP"],
    ["~AP", "AP", "~AP", "AP"], ["AP", "PP", "PP", "PC", "~PC", "~AP"],
]  # fmt: skip


@pytest.mark.parametrize("path", LONG, ids="-".join)
def test_counts_are_the_dense_product(backend: str, path: list[str]) -> None:
    relations = {
        "AP": random_relation(20, 30, 50), "PC": random_relation(30, 4, 40, 1), "PP": random_relation(30, 30, 45, 2),
    }  # fmt: skip
    found = metapath_adjacency(relations, path, dtype=torch.float64)
    assert torch.equal(dense(found), chain(relations, path))
    reach = metapath_adjacency(relations, path, counts=False)
    assert torch.equal(dense(reach), (chain(relations, path) > 0).double())
    assert metapath_adjacency(relations, path).value.dtype == torch.float32  # type: ignore[union-attr]


def test_weights_multiply_along_a_path(backend: str) -> None:
    plain = random_relation(9, 7, 25)
    weight = torch.rand(25, dtype=torch.float64, requires_grad=True)
    relations = {"R": plain.with_value(weight)}
    found = metapath_adjacency(relations, ["R", "~R"], dtype=torch.float64)
    matrix = dense(relations["R"])
    torch.testing.assert_close(dense(found), matrix @ matrix.t())
    assert found.value is not None
    assert not found.value.requires_grad
    assert torch.equal(
        dense(metapath_adjacency(relations, ["R", "~R"], counts=False)), (matrix @ matrix.t() > 0).double()
    )


def test_a_path_that_goes_back_forms_its_half_once() -> None:
    relations = {"AP": random_relation(20, 30, 50), "PC": random_relation(30, 4, 40, 1)}
    relations["CP"] = relations["PC"].t()  # the same by another name
    for path in (["AP", "PC", "~PC", "~AP"], ["AP", "PC", "CP", "~AP"]):
        left, right = factors(steps_of(relations, path), counts=True)
        assert left.shape == (20, 4)
        same(right, left.t())


def test_other_paths_are_cut_where_it_is_cheap() -> None:
    """(A B) has a million terms and B C some dozens, so A (B C) is formed."""
    wide = {
        "A": random_relation(1000, 10, 3000),
        "B": random_relation(10, 1000, 3000),
        "C": random_relation(1000, 1, 9),
    }
    left, right = factors(steps_of(wide, ["A", "B", "C"]), counts=True)
    assert left.shape == (1000, 10)
    assert right.shape == (10, 1)


def test_a_graph_gives_its_relations() -> None:
    graph = HeteroGraph({("p", "pa", "a"): torch.tensor([[0, 1, 1], [0, 0, 1]])})
    same(metapath_adjacency(graph, ["pa", "ap"]), metapath_adjacency(graph.relations(), ["pa", "~pa"]))


@pytest.mark.parametrize("path", [["R"], ["R", "~R"]], ids="-".join)
def test_max_neighbors(backend: str, path: list[str]) -> None:
    relations = {"R": random_relation(12, 12, 90)}
    whole = chain(relations, path)
    cut = metapath_adjacency(relations, path, max_neighbors=3, ties="index")
    for row, kept in zip(whole.tolist(), rows_of(cut), strict=True):
        there = [j for j, value in enumerate(row) if value]
        assert kept == sorted(sorted(there, key=lambda j: (-row[j], -j))[:3])
    sample = metapath_adjacency(relations, path, counts=False, max_neighbors=3, seed=4)
    assert sample.value is None
    assert sample.degree().tolist() == [min(3, int(n)) for n in (whole > 0).sum(1)]
    assert bool((whole > 0)[sample.row().long(), sample.col.long()].all())
    other = metapath_adjacency(relations, path, counts=False, max_neighbors=3, seed=5)
    assert not torch.equal(sample.col, other.col)


# similarity and the best


@given(pairs, st.sampled_from([torch.int32, torch.int64]))
@options
def test_similarity_of_any_relation(entries: list[tuple[int, int]], index: torch.dtype) -> None:
    relations = {"R": relation(entries, index=index)}
    counts = metapath_adjacency(relations, ["R", "~R"], dtype=torch.float64)
    matrix = chain(relations, ["R", "~R"])
    assert torch.equal(dense(counts), matrix)
    score = path_similarity(counts)
    assert score.nnz == counts.nnz
    torch.testing.assert_close(dense(score), similarity(matrix), rtol=1e-15, atol=0)
    assert score.value is not None
    assert bool(((score.value > 0) & (score.value <= 1)).all())


@given(pairs, st.integers(1, 7), st.sampled_from(["hash", "index"]), st.booleans(), st.integers(0, 9), st.booleans())
@options
def test_one_pass_is_two_steps(
    entries: list[tuple[int, int]], k: int, ties: str, self_pairs: bool, seed: int, by_count: bool
) -> None:
    relations = {"R": relation(entries)}
    how = {"ties": ties, "seed": seed, "self_pairs": self_pairs, "score": "count" if by_count else "similarity"}
    found = []
    for name in ("cpu", "reference"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GRAPHREP_BACKEND", name)
            found.append(top_neighbors(metapath_adjacency(relations, ["R", "~R"]), k, **how))  # type: ignore[arg-type]
            found.append(top_metapath_neighbors(relations, ["R", "~R"], k, **how))  # type: ignore[arg-type]
    for other in found[1:]:
        same(found[0], other)
    matrix = chain(relations, ["R", "~R"])
    score = matrix if by_count else similarity(matrix)
    check_best(found[0], matrix, score, k, ties, self_pairs)


def check_best(found: CSR, matrix: Tensor, score: Tensor, k: int, ties: str, self_pairs: bool) -> None:
    assert torch.equal(dense(found), torch.where(dense(found) > 0, matrix, 0))  # values stay counts
    for i, kept in enumerate(rows_of(found)):
        there = [j for j in range(len(matrix)) if matrix[i, j] > 0]
        assert len(kept) == min(k, len(there))
        if not self_pairs and ties == "index":
            assert kept == sorted(sorted(there, key=lambda j: (-float(score[i, j]), -j))[:k])
        if self_pairs and i in there:
            assert i in kept
            kept, there, k_left = [j for j in kept if j != i], [j for j in there if j != i], k - 1
        else:
            k_left = k
        best = sorted((float(score[i, j]) for j in there), reverse=True)[:k_left]
        assert sorted((float(score[i, j]) for j in kept), reverse=True) == best


def clique(size: int) -> dict[str, CSR]:
    return {"PS": CSR.from_edge_index(torch.stack([torch.zeros(size).long(), torch.arange(size)]), size=(1, size))}


def test_ties_of_a_clique(backend: str) -> None:
    """All similarities are 1: by index everybody keeps the same last nodes, by hash each some of its own."""
    relations = clique(200)
    by_index = top_metapath_neighbors(relations, ["PS", "~PS"], 5, ties="index", self_pairs=False)
    assert rows_of(by_index) == [[195, 196, 197, 198, 199]] * 200
    kept = top_metapath_neighbors(relations, ["PS", "~PS"], 5, ties="index")
    assert rows_of(kept)[:2] == [[0, 196, 197, 198, 199], [1, 196, 197, 198, 199]]
    hashed = top_metapath_neighbors(relations, ["PS", "~PS"], 5)
    assert all(i in row for i, row in enumerate(rows_of(hashed)))
    times = torch.bincount(hashed.col.long(), minlength=200)
    assert int(times.max()) < 20  # 1 + 4 on average; a Poisson number above 18 comes once in 10^7
    assert not torch.equal(hashed.col, top_metapath_neighbors(relations, ["PS", "~PS"], 5, seed=1).col)


def test_isolated_nodes_have_empty_rows(backend: str) -> None:
    relations = {"R": relation([(0, 0), (2, 0), (2, 0)])}  # a doubled edge; rows 1, 3, 4, 5 are empty
    top = top_metapath_neighbors(relations, ["R", "~R"], 2)
    assert rows_of(top) == [[0, 2], [], [0, 2], [], [], []]
    assert top.value is not None
    assert top.value.tolist() == [1.0, 2.0, 2.0, 4.0]
    view = metapath_norm(top)
    assert view.value is not None
    assert bool(torch.isfinite(view.value).all())


@given(pairs, st.permutations(range(6)))
@options
def test_renumbering(entries: list[tuple[int, int]], order: list[int]) -> None:
    """With all entries kept, or by score where no two are equal, the result is renumbered too."""
    place = torch.tensor(order)
    relations = {"R": relation(entries)}
    moved = {"R": relation([(order[i], j) for i, j in entries])}
    for function in (path_similarity, lambda m: top_neighbors(m, 6), metapath_norm):
        one, other = (dense(function(metapath_adjacency(r, ["R", "~R"]))) for r in (relations, moved))
        torch.testing.assert_close(other[place][:, place], one)


def test_renumbering_the_best(backend: str) -> None:
    weight = torch.rand(60, dtype=torch.float64, generator=torch.Generator().manual_seed(0))  # so nothing is equal
    plain = random_relation(30, 6, 60).with_value(weight)
    place = torch.randperm(30, generator=torch.Generator().manual_seed(1))
    moved = CSR.from_edge_index(torch.stack([plain.col, place[plain.row().long()]]), weight, size=(6, 30))
    one, other = (top_metapath_neighbors({"R": r}, ["R", "~R"], 4, dtype=torch.float64) for r in (plain, moved))
    torch.testing.assert_close(dense(other)[place][:, place], dense(one))


def test_asymmetric_paths_are_ranked_by_count(backend: str) -> None:
    cites = {"cites": relation([(0, 1), (0, 2), (1, 2), (3, 0)], (4, 4))}
    with pytest.raises(GraphrepError, match=r"nodes 0 and 1 have paths to each other but none to themselves"):
        path_similarity(metapath_adjacency(cites, ["cites"]))
    with pytest.raises(GraphrepError, match="none to themselves"):
        top_metapath_neighbors(cites, ["cites", "cites"], 1)
    with pytest.raises(GraphrepError, match="none to themselves"):
        top_neighbors(metapath_adjacency(cites, ["cites"]), 1)
    for path in (["cites"], ["cites", "cites"]):
        found = top_metapath_neighbors(cites, path, 1, score="count", ties="index")
        same(found, top_neighbors(metapath_adjacency(cites, path), 1, score="count", ties="index"))
    assert rows_of(found) == [[2], [], [], [2]]


# the norm


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_norm_is_the_dense_one(backend: str, dtype: torch.dtype) -> None:
    top = random_relation(12, 12, 40).with_value(torch.randint(0, 4, (40,)).to(dtype))
    matrix = dense(top)
    degree = matrix.sum(1)
    scale = torch.where(degree > 0, degree.rsqrt(), 0)
    found = metapath_norm(top)
    assert found.value is not None
    assert found.value.dtype == dtype
    wanted = scale[:, None] * matrix.t() * scale[None]
    # Three roundings of numbers up to 1, then copies are added up.
    tol = {torch.float64: 1e-15, torch.float32: 1e-6, torch.bfloat16: 3e-2}[dtype]
    torch.testing.assert_close(dense(found), wanted, rtol=0, atol=tol)


def test_norm_is_differentiable() -> None:
    csr = random_relation(6, 6, 15)
    value = torch.rand(15, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: metapath_norm(csr.with_value(v)).value, (value,))


# errors


def test_errors_of_paths() -> None:
    relations = {"PA": relation([(0, 0)], (3, 2)), "PS": relation([(0, 0)], (3, 4)), "none": relation([], (3, 3))}
    with pytest.raises(UnknownNameError, match=r'step 2 of the meta-path is "~PAA"[\s\S]*Did you mean "PA"'):
        metapath_adjacency(relations, ["PA", "~PAA"])
    with pytest.raises(ShapeError, match=r'steps 1 and 2[\s\S]*"PA" has 2 columns and "PS" 3 rows'):
        metapath_adjacency(relations, ["PA", "PS"])
    with pytest.raises(ShapeError, match=r'steps 2 and 3[\s\S]*Try: "~PA"'):
        metapath_adjacency(relations, ["~PS", "PA", "PA"])
    with pytest.raises(EmptyGraphError, match='relation "none" of the meta-path has no entries'):
        metapath_adjacency(relations, ["none"])
    with pytest.raises(GraphrepError, match="no steps"):
        metapath_adjacency(relations, [])
    with pytest.raises(DTypeError, match="list of relation names; got 'PAP'"):
        metapath_adjacency(relations, "PAP")
    with pytest.raises(NonFiniteError, match='relation "PA" has values that are NaN'):
        metapath_adjacency({"PA": relations["PA"].with_value(torch.tensor([torch.inf]))}, ["PA"])
    with pytest.raises(DTypeError, match='relation "PA" must be a CSR; got Tensor'):
        metapath_adjacency({"PA": torch.eye(2)}, ["PA"])  # type: ignore[dict-item]
    with pytest.raises(ShapeError, match=r"leads from 3 to 4 nodes"):
        top_metapath_neighbors(relations, ["PA", "~PA", "PS"], 2)


def test_errors_of_counts() -> None:
    counts = metapath_adjacency({"R": relation([(0, 0), (1, 0)], (3, 2))}, ["R", "~R"])
    for function in (path_similarity, metapath_norm, lambda m: top_neighbors(m, 1)):
        with pytest.raises(ShapeError, match="must be square"):
            function(relation([(0, 0)], (3, 2)))
        with pytest.raises(NonFiniteError, match="NaN or infinite"):
            function(counts.with_value(torch.full((4,), torch.nan)))
        with pytest.raises(GraphrepError, match="negative values"):
            function(counts.with_value(-torch.ones(4)))
    with pytest.raises(ShapeError, match="row 1 lists a column more than once"):
        path_similarity(relation([(1, 0), (1, 1), (1, 0)], (2, 2)))
    with pytest.raises(GraphrepError, match="k must be an integer of at least 1; got 0"):
        top_neighbors(counts, 0)
    with pytest.raises(UnknownNameError, match="ties is 'low'"):
        top_neighbors(counts, 1, ties="low")  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="score is 'pathsim'"):
        top_metapath_neighbors({}, ["R"], 1, score="pathsim")  # type: ignore[arg-type]
    negative = {"R": relation([(0, 0)], (3, 2)).with_value(torch.tensor([-1.0]))}
    with pytest.raises(GraphrepError, match="negative weights"):
        top_metapath_neighbors(negative, ["R", "~R"], 1)


# real data


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "path", "entries", "largest", "k", "kept"),
    [
        ("acm", ["pa", "ap"], 57_853, 21, 110, 57_797),
        ("acm", ["ps", "sp"], 4_338_213, 1, 700, 2_147_611),
        ("dblp", ["ap", "pa"], 11_113, 168, 25, 11_022),
        ("dblp", ["ap", "pc", "cp", "pa"], 5_000_495, 4_124, 200, None),
        ("dblp", ["ap", "pt", "tp", "pa"], 7_043_571, 14_461, 40, None),
    ],
)
def test_counts_of_public_graphs(
    data_root: Path, name: str, path: list[str], entries: int, largest: int, k: int, kept: int | None
) -> None:
    relations = load(f"hetero/{name}", data_root).relations()
    counts = metapath_adjacency(relations, path)
    assert counts.value is not None
    assert (counts.nnz, int(counts.value.max())) == (entries, largest)
    top = top_metapath_neighbors(relations, path, k)
    same(top, top_neighbors(counts, k))
    assert top.nnz == int(counts.degree().clamp(max=k).sum())
    assert kept is None or top.nnz == kept
    own = counts.row() == counts.col
    assert int((top.row() == top.col).sum()) == int(own.sum())


@pytest.mark.slow
def test_contexts_of_a_public_graph(data_root: Path) -> None:
    relations = load("hetero/dblp", data_root).relations()
    for path, entries in ((["ap", "pc", "cp"], 10_165_000), (["ap", "pt", "tp"], 13_414_703)):
        streamed, stored = MetaPathContext(relations, path), MetaPathContext(relations, path, budget=1 << 40)
        assert not streamed.stored
        assert stored.stored
        assert int(streamed.counts.sum()) == entries
        x = torch.randn(14_328, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
        out, wanted = streamed(x), stored(x)
        torch.testing.assert_close(out, wanted)
        grads = [torch.autograd.grad(y, x, wanted.detach())[0] for y in (out, wanted)]
        torch.testing.assert_close(*grads)
