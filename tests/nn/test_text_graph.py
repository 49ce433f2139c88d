"""TextGraphEncoder: every kind against PyG's layers, layer-wise inference, input layers, samples, errors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch_geometric.nn as pyg
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphrep.errors import DTypeError, GraphrepError, IndexRangeError, ShapeError, UnknownNameError
from graphrep.kernels import CSR
from graphrep.nn import TextGraphEncoder, sample_batch

Kind = tuple[str, str, str]
NODE: Kind = ("node", "to", "node")
KINDS: list[Kind] = [("author", "writes", "paper"), ("paper", "rev_writes", "author"), ("paper", "cites", "paper")]
SIZES = {"author": 6, "paper": 9, "items": 3}  # "items" has no edge, and a name that torch's containers refuse
CONVS = ["gcn", "sage", "rgcn", "hgt", "hetero_sage"]
TYPED = CONVS[2:]
typed = pytest.mark.parametrize("conv", TYPED)


def typed_edges(seed: int = 0, count: int = 14) -> dict[Kind, Tensor]:
    """Duplicates; the last node of each type has no in-edge."""
    generator = torch.Generator().manual_seed(seed)
    return {
        kind: torch.stack([torch.randint(SIZES[kind[end]] - end // 2, (count,), generator=generator) for end in (0, 2)])
        for kind in KINDS
    }


def typed_inputs(seed: int = 0) -> dict[str, Tensor]:
    """Papers have text and features, items features alone, authors neither."""
    generator = torch.Generator().manual_seed(seed)
    wide = torch.randn(SIZES["paper"], 7, generator=generator, dtype=torch.float64)
    narrow = torch.randn(SIZES["items"], 2, generator=generator, dtype=torch.float64)
    return {"author": torch.arange(SIZES["author"]), "paper": wide, "items": narrow}


def typed_encoder(conv: str, **options: Any) -> TextGraphEncoder:
    torch.manual_seed(0)
    arguments: tuple[Any, ...] = ({"paper": 5}, {"paper": 2, "items": 2}, SIZES, KINDS)
    return TextGraphEncoder(*arguments, conv=conv, **{"dim": 8, "heads": 2, **options}).double()


def plain_encoder(conv: str, edge_types: list[Kind] | None = None, **options: Any) -> TextGraphEncoder:
    torch.manual_seed(0)
    options = {"dim": 8, "out_dim": 4, "heads": 2, **options}
    kinds = [NODE] if edge_types is None else edge_types
    return TextGraphEncoder({"node": 5}, {}, {"node": 12}, kinds, conv=conv, **options).double()


def plain_graph(seed: int = 0, count: int = 30) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(12, 5, generator=generator, dtype=torch.float64)
    return x, torch.randint(11, (2, count), generator=generator)


@pytest.mark.parametrize("conv", ["gcn", "sage"])
def test_one_node_type_is_pygs_network(conv: str) -> None:
    encoder = plain_encoder(conv).eval()
    x, edges = plain_graph()
    h = torch.nn.functional.linear(x, encoder.inputs["node"].weight, encoder.inputs["node"].bias)
    theirs = []
    for layer, (a, b) in zip(encoder.layers, [(8, 8), (8, 4)], strict=True):
        theirs.append((pyg.GCNConv if conv == "gcn" else pyg.SAGEConv)(a, b).double())
        theirs[-1].load_state_dict(layer.conv.state_dict())
    want = theirs[1](theirs[0](h, edges).relu(), edges)
    torch.testing.assert_close(encoder({"node": x}, {NODE: edges})["node"], want)


def test_rgcn_is_pygs_on_one_numbering() -> None:
    encoder = typed_encoder("rgcn", num_bases=2, out_dim=4).eval()
    inputs, edges = typed_inputs(), typed_edges()
    h = torch.cat(list(encoder.project(inputs).values()))
    start = {"author": 0, "paper": 6, "items": 15}
    shifted = [edges[k] + torch.tensor([[start[k[0]]], [start[k[2]]]]) for k in KINDS]
    every = torch.cat(shifted, dim=1)
    relation = torch.arange(3).repeat_interleave(torch.tensor([e.shape[1] for e in shifted]))
    for number, layer in enumerate(encoder.layers):
        theirs = pyg.RGCNConv(8, 4 if number else 8, 3, num_bases=2).double()
        theirs.load_state_dict(layer.conv.state_dict())
        h = theirs(h if number == 0 else h.relu(), every, relation)
    found = encoder(inputs, edges)
    torch.testing.assert_close(torch.cat([found[name] for name in start]), h)


def test_hgt_is_pygs() -> None:
    encoder = typed_encoder("hgt").eval()
    inputs, edges = typed_inputs(), typed_edges()
    h = encoder.project(inputs)
    names = {"author": "type0", "paper": "type1", "items": "type2"}
    kinds = {kind: (names[kind[0]], f"relation{i}", names[kind[2]]) for i, kind in enumerate(KINDS)}
    for layer in encoder.layers:
        theirs = pyg.HGTConv(8, 8, (list(names.values()), list(kinds.values())), heads=2).double()
        theirs.load_state_dict(layer.conv.state_dict())
        found = theirs({names[k]: v for k, v in h.items()}, {kinds[k]: e for k, e in edges.items()})
        h = {name: found.get(key, h[name]) for name, key in names.items()}
    for name, rows in encoder(inputs, edges).items():
        torch.testing.assert_close(rows, h[name])


def test_hetero_sage_is_pygs() -> None:
    encoder = typed_encoder("hetero_sage", num_layers=1).eval()
    inputs, edges = typed_inputs(), typed_edges()
    h, layer = encoder.project(inputs), encoder.layers[0]
    found = encoder(inputs, edges)
    for name in SIZES:
        want = layer.own[name](h[name])
        for kind in KINDS:
            if kind[2] == name:
                theirs = pyg.SAGEConv((8, 8), 8, root_weight=False, bias=False).double()
                theirs.load_state_dict(layer.convs[kind].state_dict())
                want = want + theirs((h[kind[0]], h[name]), edges[kind])
        torch.testing.assert_close(found[name], want)


@typed
@pytest.mark.parametrize("jumping", [False, True])
def test_gradients_reach_every_weight(conv: str, jumping: bool) -> None:
    encoder = typed_encoder(conv, jumping=jumping, out_dim=4)
    out = encoder(typed_inputs(), typed_edges())
    assert {name: tuple(rows.shape) for name, rows in out.items()} == {k: (n, 4) for k, n in SIZES.items()}
    sum(rows.square().sum() for rows in out.values()).backward()
    ignored = ("skip.type2", "lins.type2") if conv == "hgt" else ()  # of items, which nothing leads to or from
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None or any(part in name for part in ignored), name


@pytest.mark.parametrize("conv", CONVS)
def test_gradcheck(conv: str) -> None:
    encoder = plain_encoder(conv, dropout=0.0)
    x, edges = plain_graph()
    assert torch.autograd.gradcheck(lambda t: encoder({"node": t}, {NODE: edges})["node"], x.requires_grad_())


@typed
@pytest.mark.parametrize("block_size", [1, 4, 100])
@pytest.mark.parametrize("jumping", [False, True])
def test_inference_in_blocks_is_the_whole(conv: str, block_size: int, jumping: bool) -> None:
    encoder = typed_encoder(conv, jumping=jumping, out_dim=4)
    inputs, edges = typed_inputs(), typed_edges()
    want = encoder.eval()(inputs, edges)
    encoder.train()
    lazy: dict[str, Any] = {**inputs, "paper": lambda rows: inputs["paper"][rows]}
    for given_ in (inputs, lazy):
        found = encoder.inference(given_, edges, block_size=block_size)
        for name, rows in want.items():
            torch.testing.assert_close(found[name], rows)
            assert not found[name].requires_grad
    assert encoder.training


@pytest.mark.parametrize("conv", CONVS)
def test_inference_on_one_type(conv: str) -> None:
    encoder = plain_encoder(conv).eval()
    x, edges = plain_graph()
    want = encoder({"node": x}, {NODE: edges})["node"]
    matrix = CSR.from_edge_index(edges, size=(12, 12))
    for graph in (edges, edges.int(), matrix):
        torch.testing.assert_close(encoder({"node": x}, {NODE: graph})["node"], want)
        torch.testing.assert_close(encoder.inference({"node": x}, {NODE: graph}, block_size=5)["node"], want)
    empty = encoder.inference({"node": x[:0]}, {})["node"]
    assert empty.shape == (0, 4)


def test_several_edge_types_of_one_node_type_are_joined() -> None:
    other = ("node", "like", "node")
    x, edges = plain_graph()
    for conv in ("gcn", "sage"):
        encoder = plain_encoder(conv, [NODE, other]).eval()
        want = encoder({"node": x}, {NODE: edges})["node"]
        halves: dict[Kind, Any] = {NODE: edges[:, :11], other: edges[:, 11:]}
        torch.testing.assert_close(encoder({"node": x}, halves)["node"], want)
        matrices = {kind: CSR.from_edge_index(part, size=(12, 12)) for kind, part in halves.items()}
        torch.testing.assert_close(encoder({"node": x}, matrices)["node"], want)


@pytest.mark.parametrize("conv", CONVS)
def test_edges_prepared_once(conv: str) -> None:
    encoder = plain_encoder(conv).eval()
    x, edges = plain_graph()
    matrices = encoder.prepare({NODE: edges})
    assert list(matrices) == [NODE]
    torch.testing.assert_close(encoder({"node": x}, matrices), encoder({"node": x}, {NODE: edges}))
    assert encoder.prepare({}, {"node": 3})[NODE].num_rows == 3 if conv in ("gcn", "sage") else not encoder.prepare({})


def test_a_cold_node_is_its_input_and_the_node_term() -> None:
    encoder = plain_encoder("gcn", num_layers=1).eval()
    x, _ = plain_graph()
    conv: Any = encoder.layers[0].conv
    want = conv.lin(encoder.project({"node": x})["node"]) + conv.bias
    torch.testing.assert_close(encoder({"node": x}, {})["node"], want)


def test_sparse_features_beside_the_text() -> None:
    encoder = typed_encoder("rgcn").eval()
    inputs, edges = typed_inputs(), typed_edges()
    want = encoder(inputs, edges)
    text, features = inputs["paper"][:, :5], inputs["paper"][:, 5:]
    for part in (features, features.to_sparse_csr()):
        split: dict[str, Any] = {**inputs, "paper": (text, part)}
        torch.testing.assert_close(encoder(split, edges)["paper"], want["paper"])
        torch.testing.assert_close(encoder.inference(split, edges, block_size=4)["paper"], want["paper"])


@typed
@given(seed=st.integers(0, 99))
@settings(max_examples=8, deadline=None)
def test_order_of_nodes_and_edges_plays_no_part(conv: str, seed: int) -> None:
    encoder = typed_encoder(conv).eval()
    inputs, edges = typed_inputs(seed), typed_edges(seed)
    generator = torch.Generator().manual_seed(seed)
    place = {name: torch.randperm(count, generator=generator) for name, count in SIZES.items()}
    moved = {k: torch.empty_like(part).index_copy(0, place[k], part) for k, part in inputs.items()}
    turned = {}
    for kind, ends in edges.items():
        some = ends[:, torch.randperm(ends.shape[1], generator=generator)]
        turned[kind] = torch.stack([place[kind[0]][some[0]], place[kind[2]][some[1]]])
    want, found = encoder(inputs, edges), encoder(moved, turned)
    for name, rows in want.items():
        torch.testing.assert_close(found[name][place[name]], rows)


@pytest.mark.parametrize("conv", CONVS)
def test_a_sample_with_all_neighbours_gives_the_same_seeds(conv: str) -> None:
    encoder = plain_encoder(conv).eval()
    x, edges = plain_graph()
    matrix = CSR.from_edge_index(edges, size=(12, 12))
    seeds = torch.tensor([3, 11, 0])
    batch = sample_batch({NODE: matrix}, {"node": seeds}, [-1, -1], seed=0)
    graph: Any = batch.gcn_matrix({NODE: matrix}, dtype=torch.float64) if conv == "gcn" else batch.edges[NODE]
    found = encoder({"node": x[batch.nodes["node"]]}, {NODE: graph})["node"][batch.seeds["node"]]
    torch.testing.assert_close(found, encoder({"node": x}, {NODE: edges})["node"][seeds])


def test_a_sampled_normalised_sum_is_right_on_average() -> None:
    x, edges = plain_graph(count=60)
    matrix, encoder = CSR.from_edge_index(edges, size=(12, 12)), plain_encoder("gcn", num_layers=1).eval()
    want = encoder({"node": x}, {NODE: edges})["node"][:4]
    total = torch.zeros_like(want)
    for seed in range(400):
        batch = sample_batch({NODE: matrix}, {"node": torch.arange(4)}, [2], seed=seed)
        graph = batch.gcn_matrix({NODE: matrix}, dtype=torch.float64)
        total += encoder({"node": x[batch.nodes["node"]]}, {NODE: graph})["node"][:4]
    # The deviation of a mean of 400 samples whose own deviation is about as large as the values.
    torch.testing.assert_close(total / 400, want, rtol=0, atol=4 * float(want.detach().std()) / 20)


@pytest.mark.parametrize(("dtype", "tol"), [(torch.float32, 1e-5), (torch.bfloat16, 6e-2)])  # 8 bits, three products
@pytest.mark.parametrize("conv", CONVS)
def test_narrow_types(conv: str, dtype: torch.dtype, tol: float) -> None:
    encoder = plain_encoder(conv).eval()
    x, edges = plain_graph()
    want = encoder({"node": x}, {NODE: edges})["node"].detach()
    found = encoder.to(dtype)({"node": x.to(dtype)}, {NODE: edges})["node"].detach()
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), want, rtol=0, atol=tol * float(want.abs().max()))


def test_text_of_a_half_precision_cache_is_taken() -> None:
    encoder = plain_encoder("gcn").float().eval()
    x, edges = plain_graph()
    assert encoder({"node": x.half()}, {NODE: edges})["node"].dtype == torch.float32


def test_dropout_is_for_training() -> None:
    encoder = plain_encoder("sage")
    x, edges = plain_graph()
    one, two = (encoder({"node": x}, {NODE: edges})["node"] for _ in range(2))
    assert not torch.equal(one, two)
    encoder.eval()
    one, two = (encoder({"node": x}, {NODE: edges})["node"] for _ in range(2))
    assert torch.equal(one, two)


def test_errors_of_the_constructor() -> None:
    with pytest.raises(UnknownNameError, match='conv is "gat"'):
        plain_encoder("gat")
    with pytest.raises(GraphrepError, match="takes one node type; there are 3"):
        typed_encoder("gcn")
    with pytest.raises(UnknownNameError, match='"venue" is not in num_nodes'):
        TextGraphEncoder({"venue": 3}, {}, {"node": 2}, [NODE])
    with pytest.raises(GraphrepError, match="num_layers is 0"):
        plain_encoder("gcn", num_layers=0)
    with pytest.raises(GraphrepError, match="heads divide dim"):
        typed_encoder("hgt", heads=3)
    with pytest.raises(GraphrepError, match="There is no node type"):
        TextGraphEncoder({}, {}, {}, [])


def test_errors_of_a_call() -> None:
    encoder, inputs, edges = typed_encoder("rgcn"), typed_inputs(), typed_edges()
    with pytest.raises(GraphrepError, match='nothing for node type "paper"'):
        encoder({"author": inputs["author"], "items": inputs["items"]}, edges)
    with pytest.raises(UnknownNameError, match='no node type "venue"'):
        encoder({**inputs, "venue": inputs["items"]}, edges)
    with pytest.raises(ShapeError, match=r"has shape \(9, 6\)"):
        encoder({**inputs, "paper": inputs["paper"][:, 1:]}, edges)
    with pytest.raises(ShapeError, match=r"has parts \(9, 5\) and \(9, 1\)"):
        encoder({**inputs, "paper": (inputs["paper"][:, :5], inputs["paper"][:, 6:])}, edges)
    with pytest.raises(DTypeError, match="neither text nor features"):
        encoder({**inputs, "author": torch.ones(6)}, edges)
    with pytest.raises(IndexRangeError, match="author"):
        encoder({**inputs, "author": torch.tensor([6])}, edges)
    with pytest.raises(DTypeError, match="floating-point"):
        encoder({**inputs, "paper": torch.ones(9, 7).long()}, edges)
    with pytest.raises(UnknownNameError, match="edge type"):
        encoder(inputs, {("paper", "in", "venue"): edges[KINDS[0]]})
    with pytest.raises(IndexRangeError, match="destination"):
        encoder(inputs, {KINDS[0]: torch.tensor([[0], [9]])})
    with pytest.raises(GraphrepError, match="block_size is 0"):
        encoder.inference(inputs, edges, block_size=0)
