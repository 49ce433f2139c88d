"""HGTConv: golden file, PyG's own layer, one explicit softmax per node, empty types and relations, errors."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch_geometric.nn as pyg
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from graphrep.errors import GraphrepError, IndexRangeError, UnknownNameError
from graphrep.kernels import CSR
from graphrep.nn import HGTConv, SAGEConv

GOLDEN = Path(__file__).parents[1] / "golden" / "lmgnn" / "hetero_layers_a.npz"
Kind = tuple[str, str, str]
KINDS: list[Kind] = [("a", "writes", "p"), ("p", "by", "a"), ("p", "cites", "p"), ("v", "shows", "p")]
SIZES = {"a": 5, "p": 8, "v": 3}
WIDTHS = {"a": 4, "p": 6, "v": 3}


def rows(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(count, WIDTHS[name], generator=generator, dtype=torch.float64).requires_grad_()
        for name, count in SIZES.items()
    }


def edges(seed: int = 0, count: int = 12) -> dict[Kind, Tensor]:
    """Duplicates; the last node of each type has no in-edge."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for kind in KINDS:
        ends = SIZES[kind[0]], SIZES[kind[2]] - 1
        found[kind] = torch.stack([torch.randint(end, (count,), generator=generator) for end in ends])
    return found


def pair(out: int = 6, heads: int = 2) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    arguments: tuple[Any, ...] = (WIDTHS, out, (list(SIZES), KINDS), heads)
    theirs, ours = pyg.HGTConv(*arguments).double(), HGTConv(*arguments).double()
    for parameter in theirs.parameters():
        nn.init.normal_(parameter)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def results(layer: nn.Module, x: dict[str, Tensor], graph: dict[Kind, Any]) -> tuple[dict[str, Tensor], list[Any]]:
    out = layer(x, graph)
    generator = torch.Generator().manual_seed(5)
    total = sum((part * torch.randn(part.shape, generator=generator).double()).sum() for part in out.values())
    return out, list(torch.autograd.grad(total, [*x.values(), *layer.parameters()], allow_unused=True))


def check(one: tuple[dict[str, Tensor], list[Any]], two: tuple[dict[str, Tensor], list[Any]]) -> None:
    assert list(one[0]) == list(two[0])
    for name, part in one[0].items():
        torch.testing.assert_close(part, two[0][name], rtol=1e-9, atol=1e-9)
    for a, b in zip(one[1], two[1], strict=True):
        if a is None or b is None:
            assert all(part is None or not part.any() for part in (a, b))
        else:
            torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)


def golden() -> dict[str, Tensor]:
    with np.load(GOLDEN) as file:
        return {key: torch.from_numpy(file[key]) for key in file if file[key].dtype.kind in "if"}


@pytest.mark.parametrize("index", [torch.int32, torch.int64])
@pytest.mark.parametrize(("dtype", "tol"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_golden(
    index: torch.dtype, dtype: torch.dtype, tol: float, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHREP_BACKEND", backend)
    g = golden()
    graph = {tuple(key[5:].split("|")): part.to(index) for key, part in g.items() if key.startswith("edge:")}
    x = {key[2:]: part.to(dtype) for key, part in g.items() if key.startswith("x:")}
    state = {key[10:]: part for key, part in g.items() if key.startswith("hgt:param:")}
    layer = HGTConv({key: part.shape[1] for key, part in x.items()}, 8, (list(x), list(graph)), heads=2).to(dtype)
    layer.load_state_dict(state)
    out = layer(x, graph)
    for key, part in g.items():
        if key.startswith("hgt:out:"):
            torch.testing.assert_close(out[key[8:]].double(), part, rtol=tol, atol=tol)
    sums: dict[str, Any] = {}
    for kind, ends in graph.items():
        conv = SAGEConv((x[kind[0]].shape[1], x[kind[2]].shape[1]), g[f"heterosage:out:{kind[2]}"].shape[1]).to(dtype)
        prefix = f"heterosage:param:convs.<{'___'.join(kind)}>."
        conv.load_state_dict({key.removeprefix(prefix): part for key, part in g.items() if key.startswith(prefix)})
        sums[kind[2]] = sums.get(kind[2], 0) + conv((x[kind[0]], x[kind[2]]), ends)
    for name, part in sums.items():
        torch.testing.assert_close(part.double(), g[f"heterosage:out:{name}"], rtol=tol, atol=tol)


@pytest.mark.parametrize("out", [6, 8])  # 6 is the width of papers, which get the weighted skip
@pytest.mark.parametrize("heads", [1, 2])
def test_is_pygs(out: int, heads: int) -> None:
    theirs, ours = pair(out, heads)
    assert list(theirs.state_dict()) == list(ours.state_dict())
    x, graph = rows(), edges()
    wanted = results(theirs, x, graph)
    check(results(ours, x, graph), wanted)
    matrices = {k: CSR.from_edge_index(e, size=(SIZES[k[0]], SIZES[k[2]])) for k, e in graph.items()}
    check(results(ours, x, matrices), wanted)
    check(results(ours, x, {k: e.int() for k, e in graph.items()}), wanted)


def test_relations_left_out_or_without_edges() -> None:
    theirs, ours = pair()
    x, graph = rows(), edges()
    some = {kind: graph[kind] for kind in KINDS[:2]}
    check(results(ours, x, some), results(theirs, x, some))
    empty = {**graph, KINDS[2]: torch.empty(2, 0, dtype=torch.int64)}
    check(results(ours, x, empty), results(theirs, x, empty))


def test_attention_is_one_softmax_over_all_relations() -> None:
    """The definition of Hu et al. at every paper, edge by edge."""
    _, ours = pair(heads=2)
    x, graph = rows(), edges()
    layer: Any = ours
    width = layer.out_channels // layer.heads
    parts = {key: layer.kqv_lin.lins[key](part).view(len(part), 3, 2, width) for key, part in x.items()}
    for paper in range(SIZES["p"]):
        heads = []
        for head in range(2):
            logits, values = [], []
            for number, kind in enumerate(KINDS):
                if kind[2] != "p":
                    continue
                place = head * len(KINDS) + number
                for source in graph[kind][0, graph[kind][1] == paper].tolist():
                    key = parts[kind[0]][source, 0, head] @ layer.k_rel.weight[place]
                    prior = layer.p_rel["__".join(kind)][0, head] / math.sqrt(width)
                    logits.append(key @ parts["p"][paper, 1, head] * prior)
                    values.append(parts[kind[0]][source, 2, head] @ layer.v_rel.weight[place])
            weights = torch.stack(logits).softmax(0) if logits else torch.empty(0).double()
            heads.append(weights @ torch.stack(values) if values else torch.zeros(width).double())
        mixed = layer.out_lin.lins["p"](nn.functional.gelu(torch.cat(heads)))
        share = layer.skip["p"].sigmoid()
        torch.testing.assert_close(layer(x, graph)["p"][paper], share * mixed + (1 - share) * x["p"][paper])


def test_gradcheck_with_nodes_that_nothing_reaches() -> None:
    _, ours = pair()
    x, graph = rows(), edges(count=3)
    assert torch.autograd.gradcheck(lambda *part: ours(dict(zip(SIZES, part, strict=True)), graph)["p"], [*x.values()])


@given(seed=st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_order_of_edges_and_nodes_plays_no_part(seed: int) -> None:
    _, ours = pair()
    x, graph = {key: part.detach() for key, part in rows().items()}, edges(seed)
    generator = torch.Generator().manual_seed(seed)
    place = {key: torch.randperm(count, generator=generator) for key, count in SIZES.items()}  # old -> new
    moved = {key: torch.empty_like(part).index_copy(0, place[key], part) for key, part in x.items()}
    turned = {}
    for kind, ends in graph.items():
        shuffled = ends[:, torch.randperm(ends.shape[1], generator=generator)]
        turned[kind] = torch.stack([place[kind[0]][shuffled[0]], place[kind[2]][shuffled[1]]])
    want, found = ours(x, graph), ours(moved, turned)
    for key, part in want.items():
        torch.testing.assert_close(found[key][place[key]], part)


def test_bfloat16_is_close() -> None:
    """8 bits of the weights and of the features."""
    _, ours = pair()
    x, graph = {key: part.detach() for key, part in rows().items()}, edges()
    want = ours(x, graph)
    found = ours.bfloat16()({key: part.bfloat16() for key, part in x.items()}, graph)
    for key, part in want.items():
        assert found[key].dtype == torch.bfloat16
        scale = float(part.detach().abs().max())
        torch.testing.assert_close(found[key].double(), part, rtol=0, atol=4e-2 * scale)


def test_hooks_run_pygs_steps() -> None:
    theirs, ours = pair()
    seen = []
    ours.register_message_forward_hook(lambda *_: seen.append(1))
    x, graph = rows(), edges()
    check(results(ours, x, graph), results(theirs, x, graph))
    assert seen
    with pytest.raises(GraphrepError, match="CSR does not go with hooks"):
        ours(x, {**graph, KINDS[0]: CSR.from_edge_index(graph[KINDS[0]], size=(5, 8))})


def test_widths_may_be_found_at_the_first_call() -> None:
    layer = HGTConv(-1, 6, (list(SIZES), KINDS), heads=2).double()
    assert layer(rows(), edges())["p"].shape == (8, 6)


def test_errors() -> None:
    _, ours = pair()
    with pytest.raises(UnknownNameError, match="no weights or no features"):
        ours(rows(), {("a", "reads", "p"): torch.tensor([[0], [0]])})
    with pytest.raises(IndexRangeError, match="destination"):
        ours(rows(), {KINDS[0]: torch.tensor([[0], [8]])})
    with pytest.raises(ValueError, match="divisible"):
        HGTConv(WIDTHS, 7, (list(SIZES), KINDS), heads=2)
