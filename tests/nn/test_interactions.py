"""InteractionEncoder, LightGCL and svd_view: golden steps, dense counterparts, odd matrices, warnings, errors."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch_geometric.nn import LightGCN as PygLightGCN

from graphrep.data.check import GraphWarning
from graphrep.errors import EmptyGraphError, GraphrepError, NonFiniteError, ShapeError, UnknownNameError
from graphrep.kernels import CSR
from graphrep.nn import InteractionEncoder, LightGCL, svd_view
from graphrep.nn import svd as svd_module
from graphrep.nn._lightgcl_paper import PaperLightGCL
from graphrep.objectives import bpr, lightgcl_contrast

GOLDEN = Path(__file__).parents[1] / "golden" / "lightgcl"
STEPS = ("step_L2", "step_L1_clamp_active", "step_L2_edge_dropout", "step_L3_isolated", "step_extreme_logits")


@pytest.fixture(params=["cpu", "reference"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GRAPHREP_BACKEND", request.param)
    return str(request.param)


def golden(name: str) -> dict[str, Tensor]:
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as arrays:
        return {key: torch.from_numpy(np.array(arrays[key])) for key in arrays.files}


def interactions(rows: Tensor, cols: Tensor, size: tuple[int, int], value: Tensor | None = None) -> CSR:
    return CSR.from_edge_index(torch.stack([cols, rows]), value, size=(size[1], size[0]))


def random_matrix(num_rows: int, num_cols: int, count: int, seed: int = 0) -> CSR:
    generator = torch.Generator().manual_seed(seed)
    code = torch.randperm(num_rows * num_cols, generator=generator)[:count].sort().values
    return interactions(code // num_cols, code % num_cols, (num_rows, num_cols))


def dense(csr: CSR) -> Tensor:
    return torch.from_numpy(csr.to_scipy().toarray())


def normalised(csr: CSR) -> CSR:
    return InteractionEncoder(csr.num_rows, csr.num_cols, 2).double().prepare(csr).adj


# the modules


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize(("dtype", "tol"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
def test_golden_step(name: str, dtype: torch.dtype, tol: float, backend: str) -> None:
    g = golden(name)
    num_users, num_items = int(g["n_users"]), int(g["n_items"])
    counts = g["vals"].double() if "vals" in g else None
    seen = interactions(g["rows"].long(), g["cols"].long(), (num_users, num_items), counts)
    model = LightGCL(num_users, num_items, g["E_u_0"].shape[1], int(g["L"]), int(g["q"])).to(dtype)
    model.load_state_dict({"user_embedding": g["E_u_0"], "item_embedding": g["E_i_0"]})
    model.prepare(seen, svd=(g["svd_u"], g["svd_s"], g["svd_v"]), binarize=False)
    factors = g.get("dropout_multipliers")
    views = model.views(None if factors is None else factors.to(dtype))
    for key, found in zip(("E_u", "E_i", "G_u", "G_i"), views, strict=True):
        if key in g:
            torch.testing.assert_close(found.double(), g[key], rtol=tol, atol=tol * float(g[key].abs().max()))
    users, items, user_view, item_view = views
    ids, pos, neg = (g[key].long() for key in ("uids", "pos", "neg"))
    ranking = bpr((users[ids] * items[pos]).sum(1), (users[ids] * items[neg]).sum(1))
    contrast = lightgcl_contrast(user_view, users, ids, temperature=float(g["temp"]))
    contrast = contrast + lightgcl_contrast(item_view, items, torch.cat([pos, neg]), temperature=float(g["temp"]))
    norms = model.user_embedding.square().sum() + model.item_embedding.square().sum()
    loss = ranking + float(g["lambda1"]) * contrast + float(g["lambda2"]) * norms
    torch.testing.assert_close(loss.detach().double(), g["loss"], rtol=tol, atol=tol)
    loss.backward()
    # Logits of 6,000 are known to 4e-4 in float32, and so are the probabilities that make the gradient.
    grad_tol = 1e-3 if name == "step_extreme_logits" and dtype == torch.float32 else 10 * tol
    for key, table in (("grad_E_u_0", model.user_embedding), ("grad_E_i_0", model.item_embedding)):
        assert table.grad is not None
        torch.testing.assert_close(table.grad.double(), g[key], rtol=0, atol=grad_tol * float(g[key].abs().max()))


def test_state_dict_holds_the_tables_alone() -> None:
    model = LightGCL(4, 3, dim=2, rank=1).prepare(random_matrix(4, 3, 8))
    assert sorted(model.state_dict()) == ["item_embedding", "user_embedding"]
    model.double()
    assert model.adj.value is not None
    assert model.adj.value.dtype == torch.float64
    assert all(part.dtype == torch.float64 for part in model.views())


@pytest.mark.parametrize("combine", ["sum", "mean"])
def test_same_as_pyg_on_one_set_of_nodes(combine: str) -> None:
    seen = random_matrix(7, 5, 18)
    model = InteractionEncoder(7, 5, 4, 3, combine=combine).double().prepare(seen)
    alpha = 1.0 if combine == "sum" else 0.25
    peer = PygLightGCN(12, 4, 3, alpha=torch.full((4,), alpha, dtype=torch.float64)).double()
    with torch.no_grad():
        peer.embedding.weight.copy_(torch.cat(model.tables()))
    edges = torch.stack([seen.row().long(), seen.col.long() + 7])
    wanted = peer.get_embedding(torch.cat([edges, edges.flip(0)], dim=1))
    torch.testing.assert_close(torch.cat(model()), wanted, rtol=1e-12, atol=1e-12)


def test_repeated_pairs_count_once_unless_asked() -> None:
    twice = interactions(torch.tensor([0, 0, 1]), torch.tensor([1, 1, 0]), (2, 2))
    model = InteractionEncoder(2, 2, 2).double()
    assert dense(model.prepare(twice).adj).tolist() == [[0, 1], [1, 0]]
    counted = interactions(torch.tensor([0, 0, 1]), torch.tensor([1, 0, 0]), (2, 2), torch.tensor([3.0, 1.0, 1.0]))
    found = dense(model.prepare(counted, binarize=False).adj)
    torch.testing.assert_close(found, torch.tensor([[1 / 8**0.5, 3 / 12**0.5], [1 / 2**0.5, 0]]).double())


def test_isolated_users_and_items_keep_level_0() -> None:
    seen = interactions(torch.tensor([0]), torch.tensor([0]), (3, 2))
    model = LightGCL(3, 2, dim=2, rank=1).prepare(seen)
    users, items, user_view, item_view = model.views()
    assert torch.equal(users[1:], model.user_embedding[1:])
    assert torch.equal(items[1], model.item_embedding[1])
    assert torch.equal(user_view[1:], model.user_embedding[1:])
    assert torch.equal(item_view[1], model.item_embedding[1])


@pytest.mark.parametrize("layers", [0, 1, 2, 3])
@pytest.mark.parametrize("combine", ["sum", "mean"])
def test_context_gives_a_user_what_propagation_would(layers: int, combine: str) -> None:
    """A user with a zero row in the table gets, by folding in, exactly what the whole propagation gives it."""
    seen = random_matrix(6, 5, 16)
    model = InteractionEncoder(6, 5, 3, layers, combine=combine).double().prepare(seen)
    with torch.no_grad():
        model.user_embedding[2] = 0
    row = dense(seen)[2].double()
    found = model.folded((row / row.sum().sqrt()) @ model.item_context())
    if layers:
        torch.testing.assert_close(found, model()[0][2], rtol=1e-12, atol=1e-12)
    else:
        assert found.abs().sum() > 0


def test_context_of_the_papers_form() -> None:
    seen = random_matrix(6, 5, 16)
    model = PaperLightGCL(6, 5, 3, 2, 2, submission=False).double().prepare(seen)
    with torch.no_grad():
        model.user_embedding[2] = 0
    row = dense(seen)[2].double()
    found = model.folded(((row / row.sum().sqrt()) @ model.item_context())[None])[0]
    torch.testing.assert_close(found, model()[0][2], rtol=1e-12, atol=1e-12)


def test_papers_form_is_its_definition() -> None:
    torch.manual_seed(0)
    seen = random_matrix(6, 5, 16)
    model = PaperLightGCL(6, 5, 3, 2, 2, submission=True).double().prepare(seen)
    adj, raw = dense(model.adj), dense(seen).double()
    u, s, v = torch.linalg.svd(raw)
    low = u[:, :2] @ torch.diag(s[:2]) @ v[:2]
    leaky, unit = torch.nn.functional.leaky_relu, torch.nn.functional.normalize
    user, item = model.tables()
    total = [user, item]
    (users, items), pairs = model.layers()
    for layer, ((z_u, g_u), (z_i, g_i)) in enumerate(pairs):
        wanted = leaky(adj @ item, 0.5), leaky(adj.t() @ user, 0.5)
        dense_view = leaky(low @ item, 0.5), leaky(low.t() @ user, 0.5)
        torch.testing.assert_close(z_u, unit(wanted[0]))
        torch.testing.assert_close(z_i, unit(wanted[1]))
        torch.testing.assert_close(g_u, unit(dense_view[0]) @ model.bilinear[layer])
        torch.testing.assert_close(g_i, unit(dense_view[1]) @ model.bilinear[layer])
        user, item = wanted[0] + user, wanted[1] + item
        total = [total[0] + user, total[1] + item]
    torch.testing.assert_close(users, total[0])
    torch.testing.assert_close(items, total[1])


def test_views_by_name() -> None:
    seen = random_matrix(6, 5, 16)
    same = LightGCL(6, 5, dim=3, view="self").prepare(seen).views()
    assert same[0] is same[2]
    model = LightGCL(6, 5, dim=3, num_layers=1, view="noise", noise=0.3).double().prepare(seen)
    main, noisy = (model.views(generator=torch.Generator().manual_seed(1))[k] for k in (0, 2))
    torch.testing.assert_close((noisy - main).norm(dim=1), torch.full((6,), 0.3, dtype=torch.float64))
    again = model.views(generator=torch.Generator().manual_seed(1))[2]
    assert torch.equal(noisy, again)


def test_module_errors() -> None:
    with pytest.raises(GraphrepError, match="num_layers must be an integer of 0 or more"):
        InteractionEncoder(2, 2, num_layers=-1)
    with pytest.raises(UnknownNameError, match='combine is "max"'):
        InteractionEncoder(2, 2, combine="max")
    with pytest.raises(GraphrepError, match="no level takes part"):
        InteractionEncoder(2, 2, num_layers=0, first_level=False)
    with pytest.raises(UnknownNameError, match='view is "svds"'):
        LightGCL(2, 2, view="svds")
    with pytest.raises(GraphrepError, match="a view needs a propagation"):
        LightGCL(2, 2, num_layers=0)
    model = LightGCL(2, 3, dim=2, rank=1)
    with pytest.raises(GraphrepError, match="prepare"):
        model()
    with pytest.raises(ShapeError, match=r"interactions has shape \(3, 2\)"):
        model.prepare(random_matrix(3, 2, 4))
    with pytest.raises(GraphrepError, match="one positive, finite count"):
        model.prepare(interactions(torch.tensor([0]), torch.tensor([0]), (2, 3), torch.tensor([-1.0])))
    with pytest.raises(EmptyGraphError, match="no entries"):
        model.prepare(interactions(torch.empty(0).long(), torch.empty(0).long(), (2, 3)))
    with pytest.raises(ShapeError, match="svd has shapes"):
        model.prepare(random_matrix(2, 3, 4), svd=(torch.ones(3, 1), torch.ones(1), torch.ones(3, 1)))
    with pytest.raises(ShapeError, match=r"edge_multipliers has shape \(1, 2, 4\)"):
        model.prepare(random_matrix(2, 3, 4)).views(torch.ones(1, 2, 4))


# the decomposition


@pytest.fixture(params=["exact", "krylov"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Small matrices decomposed as they are, and as if they were large."""
    if request.param == "krylov":
        monkeypatch.setattr(svd_module, "_EXACT", 0)
    return str(request.param)


@pytest.mark.parametrize("kind", ["normalised", "counts"])
def test_against_a_dense_decomposition(kind: str, form: str, backend: str) -> None:
    seen = random_matrix(90, 70, 700)
    adj = normalised(seen) if kind == "normalised" else seen.with_value(torch.rand(seen.nnz).double() + 0.5)
    u, s, v = torch.linalg.svd(dense(adj), full_matrices=False)
    view = svd_view(adj, 5, tol=1e-8)
    torch.testing.assert_close(view.S, s[:5], rtol=1e-10, atol=0)
    low = u[:, :5] @ torch.diag(s[:5]) @ v[:5]
    torch.testing.assert_close(view.U @ torch.diag(view.S) @ view.V.t(), low, rtol=0, atol=1e-7)
    top = view.U.gather(0, view.U.abs().argmax(0, keepdim=True))
    assert bool((top > 0).all())


def test_default_accuracy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(svd_module, "_EXACT", 0)
    adj = normalised(random_matrix(400, 300, 3000))
    exact = torch.linalg.svdvals(dense(adj))[:5]
    torch.testing.assert_close(svd_view(adj, 5).S, exact, rtol=1e-6, atol=0)
    rough = svd_view(adj, 5, iters=2, oversample=0).S
    assert bool((rough <= exact * (1 + 1e-12)).all())  # a projection never exceeds
    assert float((rough / exact).min()) > 0.6
    better = svd_view(adj, 5, iters=30, oversample=10).S
    torch.testing.assert_close(better, exact, rtol=1e-3, atol=0)


@pytest.mark.parametrize("iters", ["auto", 2])
def test_seeded_and_the_same_again(iters: int | str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(svd_module, "_EXACT", 0)
    adj = normalised(random_matrix(120, 80, 900))
    first, again, other = (svd_view(adj, 4, iters=iters, seed=seed) for seed in (1, 1, 2))  # type: ignore[arg-type]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.U, other.U)
    if iters == "auto":  # converged: the seed does not matter beyond the tolerance, signs included
        torch.testing.assert_close(first.U, other.U, rtol=0, atol=1e-2)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 40), st.integers(0, 1000), st.booleans())
def test_any_small_matrix(num_rows: int, num_cols: int, count: int, seed: int, large: bool) -> None:
    adj = normalised(random_matrix(num_rows, num_cols, min(count, num_rows * num_cols), seed))
    whole = dense(adj)
    limit = min(int((whole.sum(1) > 0).sum()), int((whole.sum(0) > 0).sum()))
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", GraphWarning)  # equal singular values are common here
        if large:
            patch.setattr(svd_module, "_EXACT", 0)
        view = svd_view(adj, limit)
    torch.testing.assert_close(view.U @ torch.diag(view.S) @ view.V.t(), whole, rtol=0, atol=1e-6)
    order = torch.randperm(num_rows, generator=torch.Generator().manual_seed(seed))
    row = order.argsort()[adj.row().long()]
    moved = interactions(row, adj.col.long(), (num_rows, num_cols), adj.value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GraphWarning)
        again = svd_view(moved, limit)
    torch.testing.assert_close(again.S, view.S, rtol=0, atol=1e-6)


@pytest.mark.parametrize("num_cols", [9, 300])
def test_rank_is_cut_with_a_warning(num_cols: int, form: str) -> None:
    adj = normalised(random_matrix(4, num_cols, 2 * num_cols))
    with pytest.warns(GraphWarning, match="rank 6 was cut to 4"):
        view = svd_view(adj, 6)
    assert view.S.shape == (4,)
    torch.testing.assert_close(view.U @ torch.diag(view.S) @ view.V.t(), dense(adj), rtol=0, atol=1e-6)


def test_columns_beyond_the_rank_are_zero(form: str) -> None:
    adj = interactions(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1]), (2, 2))
    view = svd_view(adj.with_value(torch.ones(4, dtype=torch.float64)), 2)
    torch.testing.assert_close(view.S, torch.tensor([2.0, 0.0]).double(), rtol=0, atol=1e-9)
    assert view.U[:, 1].tolist() == [0, 0]
    assert view.V[:, 1].tolist() == [0, 0]


def blocks(count: int) -> CSR:
    """Components of 2 x 2 and one of 12 x 9."""
    big = random_matrix(12, 9, 80)
    rows, cols = [big.row().long()], [big.col.long()]
    for k in range(count):
        rows.append(12 + 2 * k + torch.tensor([0, 0, 1, 1]))
        cols.append(9 + 2 * k + torch.tensor([0, 1, 0, 1]))
    return interactions(torch.cat(rows), torch.cat(cols), (12 + 2 * count, 9 + 2 * count))


def test_degenerate_spectrum_warns_and_the_largest_component_does_not(form: str) -> None:
    adj = normalised(blocks(4))
    with pytest.warns(GraphWarning, match=r"degenerate spectrum: .*component=\"largest\""):
        svd_view(adj, 3)
    view = svd_view(adj, 3, component="largest", tol=1e-8)
    assert not view.U[12:].any()
    assert not view.V[9:].any()
    exact = torch.linalg.svdvals(dense(adj)[:12, :9])[:3]
    torch.testing.assert_close(view.S, exact, rtol=1e-8, atol=0)


def test_degenerate_module_warns_when_asked_for_all() -> None:
    with pytest.warns(GraphWarning, match="degenerate spectrum"):
        LightGCL(20, 17, dim=2, rank=3, svd_component="all").prepare(blocks(4))


def test_svd_errors() -> None:
    adj = random_matrix(4, 3, 6)
    with pytest.raises(GraphrepError, match="rank must be an integer of 1 or more; got 0"):
        svd_view(adj, 0)
    with pytest.raises(GraphrepError, match="iters must be an integer of 0 or more; got 'fast'"):
        svd_view(adj, 1, iters="fast")  # type: ignore[arg-type]
    with pytest.raises(GraphrepError, match="tol must be positive"):
        svd_view(adj, 1, tol=0.0)
    with pytest.raises(UnknownNameError, match='component is "big"'):
        svd_view(adj, 1, component="big")  # type: ignore[arg-type]
    with pytest.raises(NonFiniteError, match="NaN or infinity"):
        svd_view(adj.with_value(torch.full((6,), torch.nan)), 1)
    with pytest.raises(ShapeError, match=r"values of shape \(6, 2\)"):
        svd_view(adj.with_value(torch.ones(6, 2)), 1)
    with pytest.raises(EmptyGraphError, match="no entries"):
        svd_view(adj.with_value(torch.zeros(6)), 1)


def test_narrow_values() -> None:
    adj = random_matrix(30, 20, 200)
    view = svd_view(adj.with_value(torch.ones(200, dtype=torch.bfloat16)), 2)
    assert view.U.dtype == torch.float32
    torch.testing.assert_close(view.S, torch.linalg.svdvals(dense(adj))[:2], rtol=1e-5, atol=0)
