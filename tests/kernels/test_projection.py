"""Random projections and the fused pass: against golden numbers, plain loops, and each other."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from graphrep.errors import DTypeError, GraphrepError, ShapeError
from graphrep.kernels import CSR, GDSRandom
from graphrep.kernels.projection import (
    column_moments,
    fused_power,
    gds_feature_signs,
    node_keys,
    project_features_,
    random_gaussian,
    random_signs,
    standardize_,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "fastrp"


@pytest.fixture(params=["cpu", "reference"])
def each_backend(request, monkeypatch):
    monkeypatch.setenv("GRAPHREP_BACKEND", request.param)
    return request.param


# values: the GDS generator


def test_gds_generator_words_and_doubles():
    golden = np.load(GOLDEN / "gds_rng.npz", allow_pickle=False)
    seed = int(golden["seed"])
    raw, uniform = GDSRandom(seed), GDSRandom(seed)
    assert [raw.next_u64() for _ in range(16)] == golden["next_long_u64"].tolist()
    assert [uniform.next_double() for _ in range(16)] == golden["next_double"].tolist()
    improved = GDSRandom(seed).next_u64()
    assert improved == int(golden["improved_seed_u64"])
    node = GDSRandom(improved ^ 5)
    assert [node.next_double() for _ in range(16)] == golden["node5_next_double"].tolist()


def test_gds_signs_follow_the_stream(each_backend):
    codes = random_signs(torch.tensor([5, -2]), 16, seed=42, stream="gds")
    golden = np.load(GOLDEN / "gds_rng.npz", allow_pickle=False)["node5_next_double"]
    want = np.where(golden < 1 / 6, 1, np.where(golden < 2 / 6, -1, 0))
    assert codes[0].tolist() == want.tolist()
    assert gds_feature_signs(3, 4, seed=7).shape == (3, 4)


# values: the counter streams


def _both(monkeypatch, make):
    found = []
    for name in ("cpu", "reference"):
        monkeypatch.setenv("GRAPHREP_BACKEND", name)
        found.append(make())
    return found


@pytest.mark.parametrize("dim", [1, 2, 7, 64])
@pytest.mark.parametrize("density", [1 / 3, 0.01, 1.0])
@pytest.mark.parametrize("stream", ["node", "feature", "gds"])
def test_signs_agree_between_backends(monkeypatch, dim, density, stream):
    keys = torch.tensor([0, 1, -1, 2**62, 12345])
    fast, plain = _both(monkeypatch, lambda: random_signs(keys, dim, density=density, seed=-3, stream=stream))
    assert torch.equal(fast, plain)


def test_gaussian_and_text_keys_agree_between_backends(monkeypatch):
    keys = torch.tensor([0, 1, -1, 2**62])
    fast, plain = _both(monkeypatch, lambda: random_gaussian(keys, 7, seed=1, dtype=torch.float64))
    torch.testing.assert_close(fast, plain, rtol=0, atol=1e-14)
    words = np.array(["a", "b", "ab", "", "été", "\U0001f600x"])
    fast, plain = _both(monkeypatch, lambda: node_keys(words, 6))
    assert torch.equal(fast, plain)
    assert len(set(fast.tolist())) == 6


def test_text_keys_do_not_depend_on_the_width_of_the_array():
    assert node_keys(np.array(["ab", "c"]), 2)[0] == node_keys(np.array(["ab", "a much longer word"]), 2)[0]


@pytest.mark.parametrize("density", [1 / 3, 0.05])
def test_signs_have_the_asked_density_and_no_mean(density):
    codes = random_signs(torch.arange(4000), 64, density=density, seed=5).double()
    count = codes.numel()
    assert abs(codes.abs().mean().item() - density) < 5 * math.sqrt(density / count)
    assert abs(codes.mean().item()) < 5 * math.sqrt(density / count)
    gram = (codes.t() @ codes) / (density * 4000)
    off = gram - torch.diag(gram.diag())
    assert off.abs().max() < 6 / math.sqrt(4000)


def test_gaussian_moments():
    z = random_gaussian(torch.arange(4000), 32, seed=2, dtype=torch.float64)
    assert abs(z.mean().item()) < 5 / math.sqrt(z.numel())
    assert abs(z.std().item() - 1) < 0.02
    assert abs(z.pow(4).mean().item() - 3) < 0.15


# properties


def test_a_row_depends_on_seed_key_and_coordinate_only():
    keys = torch.arange(100)
    codes = random_signs(keys, 33, seed=9)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(0))
    assert torch.equal(random_signs(keys[order], 33, seed=9), codes[order])
    assert torch.equal(random_signs(keys, 10, seed=9), codes[:, :10])
    assert not torch.equal(random_signs(keys, 33, seed=10), codes)
    assert not torch.equal(random_signs(keys, 33, seed=9, stream="feature"), codes)


def test_signs_write_into_given_memory():
    out = torch.full((3, 4), 9, dtype=torch.int8)
    assert random_signs(torch.arange(3), 4, out=out) is out
    assert int(out.abs().max()) <= 1


# the fused pass


def _loop(csr, x, row_scale, x_scale, own, start, weight, self_weight, fresh, normalize):
    """The definition, one entry at a time, in float64."""
    x = x.double() if x_scale is None else x.double() * x_scale.double()[:, None]
    power = torch.zeros(csr.num_rows, x.shape[1], dtype=torch.float64)
    value = torch.ones(csr.nnz) if csr.value is None else csr.value
    for i in range(csr.num_rows):
        for e in range(int(csr.rowptr[i]), int(csr.rowptr[i + 1])):
            power[i] += value[e].double() * x[int(csr.col[e])]
        power[i] *= row_scale[i].double()

    def unit(v):
        return v / v.norm() if normalize and v.norm() > 0 else v

    result = torch.zeros_like(power) if fresh else start.double().clone()
    for i in range(csr.num_rows):
        j = i if own is None else int(own[i])
        result[i] += self_weight * unit(x[j]) + weight * unit(power[i])
    return power, result


def _case(weighted, dtype, num_rows=40, num_edges=900, seed=0):
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(0, num_rows, (2, num_edges), generator=generator)
    edges[1, : num_edges // 2] = 3  # a row of more than one piece
    edges[1][edges[1] == 5] = 6  # an empty row
    weight = torch.rand(num_edges, generator=generator, dtype=dtype) if weighted else None
    return CSR.from_edge_index(edges, weight, size=(num_rows, num_rows)), generator


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("signs", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("fresh", [False, True])
def test_pass_against_the_definition(each_backend, weighted, signs, dtype, fresh):
    csr, generator = _case(weighted, dtype, num_edges=1300)
    n, d = csr.num_rows, 19
    x = random_signs(torch.arange(n), d) if signs else torch.randn(n, d, generator=generator, dtype=dtype)
    x_scale = torch.rand(n, generator=generator, dtype=dtype) if signs else None
    row_scale = torch.rand(n, generator=generator, dtype=dtype)
    own = torch.randperm(n, generator=generator) if weighted else None
    begin = torch.randn(n, d, generator=generator, dtype=dtype)
    out, result = torch.full((n, d), torch.nan, dtype=dtype), begin.clone()
    settings = {"weight": 0.7, "self_weight": 0.3, "fresh": fresh, "normalize": not weighted}
    fused_power(csr, x, row_scale=row_scale, x_scale=x_scale, own=own, out=out, result=result, **settings)
    power, merged = _loop(csr, x, row_scale, x_scale, own, begin, **settings)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5  # float32: 900 terms of rounding 6e-8
    scale = float(power.abs().max())
    assert (out.double() - power).abs().max() < tolerance * max(scale, 1)
    assert (result.double() - merged).abs().max() < tolerance * max(float(merged.abs().max()), 1)


def test_bfloat16_storage_rounds_once(each_backend):
    csr, generator = _case(False, torch.float32)
    x = torch.randn(csr.num_rows, 16, generator=generator).bfloat16()
    scale = torch.ones(csr.num_rows)
    out, exact = torch.empty_like(x), torch.empty(csr.num_rows, 16)
    fused_power(csr, x, row_scale=scale, out=out)
    fused_power(csr, x.float(), row_scale=scale, out=exact)
    # half a unit in the last of 8 bits, and float32 sums in another order
    assert ((out.float() - exact).abs() <= exact.abs() * 2**-8 + 1e-4).all()
    if each_backend == "cpu":
        assert torch.equal(out, exact.bfloat16())


def test_zero_weight_and_zero_rows(each_backend):
    csr = CSR(torch.tensor([0, 0, 1]), torch.tensor([0]), num_cols=2)
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    result = torch.full((2, 2), torch.nan)
    fused_power(csr, x, row_scale=torch.ones(2), result=result, self_weight=2.0, fresh=True)
    torch.testing.assert_close(result, torch.tensor([[0.0, 0.0], [1.2, 1.6]]))
    fused_power(csr, x, row_scale=torch.ones(2), result=result, weight=1.0, fresh=True)
    assert result.tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_tiny_rows_are_normalised(each_backend):
    """Squares of 1e-30 vanish in float32; the norm must not."""
    csr = CSR(torch.tensor([0, 1, 2]), torch.tensor([1, 0]), num_cols=2)
    x = torch.tensor([[3e-30, 4e-30], [1.0, 0.0]])
    result = torch.empty(2, 2)
    fused_power(csr, x, row_scale=torch.ones(2), result=result, weight=1.0, fresh=True)
    torch.testing.assert_close(result[1], torch.tensor([0.6, 0.8]))


def test_hubs_are_summed_in_blocks(monkeypatch):
    """A row above the block length takes another path; it gives what the definition gives, on any number of threads."""
    count = 40_000
    csr = CSR(torch.tensor([0, 2, 2 + count, 2 + count]), torch.arange(2 + count) % 3, num_cols=3)
    x = torch.randn(3, 8, generator=torch.Generator().manual_seed(1))
    seen, want = [], torch.empty(3, 8, dtype=torch.float64)
    monkeypatch.setenv("GRAPHREP_BACKEND", "reference")
    fused_power(csr, x.double(), row_scale=torch.ones(3, dtype=torch.float64), out=want)
    monkeypatch.setenv("GRAPHREP_BACKEND", "cpu")
    threads = torch.get_num_threads()
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            seen.append(torch.empty(3, 8))
            fused_power(csr, x, row_scale=torch.ones(3), out=seen[-1])
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*seen)
    assert (seen[0].double() - want).abs().max() < 1e-5 * want.abs().max()


def test_rectangular_and_empty_matrices(each_backend):
    csr = CSR(torch.tensor([0, 2]), torch.tensor([2, 0]), num_cols=3)
    out = torch.empty(1, 2)
    fused_power(csr, torch.tensor([[1.0, 0], [0, 1], [2, 2]]), row_scale=torch.ones(1), out=out)
    assert out.tolist() == [[3.0, 2.0]]
    empty = CSR(torch.tensor([0]), torch.tensor([], dtype=torch.int64), num_cols=0)
    fused_power(empty, torch.empty(0, 2), row_scale=torch.ones(0), out=torch.empty(0, 2))


def test_progress_ends_at_the_total():
    csr, _ = _case(False, torch.float32)
    calls = []
    x, out = torch.ones(csr.num_rows, 4), torch.empty(csr.num_rows, 4)
    fused_power(csr, x, row_scale=torch.ones(csr.num_rows), out=out, progress=lambda a, b: calls.append((a, b)))
    assert calls[-1] == (csr.nnz, csr.nnz)


def test_threads_divide_large_work_without_changing_it():
    csr, generator = _case(True, torch.float32, num_rows=3000, num_edges=200_000)
    x = torch.randn(3000, 64, generator=generator)
    threads, seen = torch.get_num_threads(), []
    calls = []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            out, result = torch.empty(3000, 64), torch.empty(3000, 64)
            fused_power(
                csr,
                x,
                row_scale=torch.ones(3000),
                out=out,
                result=result,
                weight=1.0,
                fresh=True,
                progress=lambda a, b: calls.append(a),
            )
            seen.append((out, result, column_moments(result)[1]))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(*seen, strict=True))
    assert calls[-1] == csr.nnz


# features and columns


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_feature_projection_dense_and_sparse(each_backend, dtype):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(30, 11, generator=generator, dtype=dtype) * (torch.rand(30, 11, generator=generator) < 0.4)
    signs = random_signs(torch.arange(11), 5, stream="feature")
    want = 0.25 * x.double() @ signs.double()
    wide = torch.zeros(30, 8, dtype=dtype)
    for form in (x, x.to_sparse_csr()):
        project_features_(form, signs, 0.25, wide[:, 3:])
        torch.testing.assert_close(wide[:, 3:].double(), want, rtol=0, atol=1e-12 if dtype == torch.float64 else 1e-5)
        assert not wide[:, :3].any()


def test_moments_and_standardisation(each_backend):
    z = torch.randn(501, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) * 5 + 100
    z[:, 2] = 0.1
    mean, std = column_moments(z)
    torch.testing.assert_close(mean, z.mean(0))
    assert float(std[2]) == 1.0
    got = standardize_(z.clone(), mean, std)
    keep = [0, 1, 3, 4, 5]
    torch.testing.assert_close(got[:, keep].mean(0), torch.zeros(5, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(got[:, keep].std(0, correction=0), torch.ones(5, dtype=torch.float64))
    assert float(got[:, 2].abs().max()) < 1e-12
    assert column_moments(torch.empty(0, 2))[1].tolist() == [1.0, 1.0]


# errors


def test_errors():
    with pytest.raises(GraphrepError, match="density must lie in"):
        random_signs(torch.arange(2), 3, density=0.0)
    with pytest.raises(ShapeError, match="3 entries for 2 nodes"):
        node_keys(torch.arange(3), 2)
    with pytest.raises(DTypeError, match="integers or text"):
        node_keys(torch.ones(2), 2)
    csr = CSR(torch.tensor([0, 1]), torch.tensor([0]), num_cols=1)
    with pytest.raises(ShapeError, match="matrix has 1 columns"):
        fused_power(csr, torch.ones(2, 2), row_scale=torch.ones(1))
    with pytest.raises(ShapeError, match="row_scale"):
        fused_power(csr, torch.ones(1, 2), row_scale=torch.ones(3))
    with pytest.raises(ShapeError, match="out has shape"):
        fused_power(csr, torch.ones(1, 2), row_scale=torch.ones(1), out=torch.ones(1, 3))
    with pytest.raises(ShapeError, match="do not fit"):
        project_features_(torch.ones(2, 3), torch.ones(2, 1, dtype=torch.int8), 1.0, torch.ones(2, 1))
