"""Meta-paths in words, and what a graph's types allow."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch_geometric.data import HeteroData

from graphrep.data import HeteroGraph
from graphrep.errors import DTypeError, GraphrepError, UnknownNameError
from graphrep.nn import metapath_adjacency, parse_metapath, propose_metapaths

DBLP = [("p", "pa", "a"), ("p", "pc", "c"), ("p", "pt", "t")]
RICH = [
    ("author", "writes", "paper"), ("paper", "rev_writes", "author"), ("author", "reviews", "paper"),
    ("paper", "in", "venue"), ("paper", "cites", "paper"), ("area", "of", "venue"),
]  # fmt: skip


def graph_of(schema: list[tuple[str, str, str]], **options: Any) -> HeteroGraph:
    """Two nodes of each type, joined crosswise."""
    return HeteroGraph({edge_type: torch.tensor([[0, 1], [1, 0]]) for edge_type in schema}, **options)


@pytest.mark.parametrize(
    ("schema", "text", "wanted"),
    [
        (DBLP, "APA", ["~pa", "pa"]),
        (DBLP, "apcpa", ["~pa", "pc", "~pc", "pa"]),
        (DBLP, "a-p-t-p-a", ["~pa", "pt", "~pt", "pa"]),
        (DBLP, "a p a", ["~pa", "pa"]),
        (DBLP, ["~pa", "pa"], ["~pa", "pa"]),
        (DBLP, ["ap", "pa"], ["ap", "pa"]),
        (DBLP, ["a", "p", "a"], ["~pa", "pa"]),
        (RICH, "paper>venue>paper", ["in", "~in"]),
        (RICH, " Paper -> VENUE → paper ", ["in", "~in"]),
        (RICH, "PVP", ["in", "~in"]),
        (RICH, "author>writes>paper>writes>author", ["writes", "~writes"]),
        (RICH, "author>writes>paper>rev_writes>author", ["writes", "rev_writes"]),
        (RICH, "paper>~reviews>author>reviews>paper", ["~reviews", "reviews"]),
        (RICH, "paper>paper>paper", ["cites", "cites"]),
        (RICH, "paper>cites>paper>~cites>paper", ["cites", "~cites"]),
        (RICH, "cites>~cites", ["cites", "~cites"]),
        (RICH, "cites", ["cites"]),
        (RICH, [("author", "reviews", "paper"), ("paper", "rev_writes", "author")], ["reviews", "rev_writes"]),
        ((["paper", "venue"], [("paper", "in", "venue")]), "PVP", ["in", "~in"]),
        ([("a", "to", "p"), ("p", "to", "a")], "APA", ["a_p", "p_a"]),
        ([("author", "writes", "paper"), ("paper", "written_by", "author")], "APA", ["writes", "written_by"]),
        ([("my-type", "has part", "thing")], "my-type>has part>thing>my-type", ["has part", "~has part"]),
    ],
)
def test_reads(schema: Any, text: Any, wanted: list[str]) -> None:
    assert parse_metapath(schema, text) == wanted


def test_names_are_those_of_the_relations() -> None:
    graph = graph_of(DBLP, target="a", num_nodes={"a": 3, "p": 2, "c": 2, "t": 2})
    path = parse_metapath(graph, "APCPA")
    assert metapath_adjacency(graph, path).shape == (3, 3)
    data = HeteroData()
    data["author", "to", "paper"].edge_index = torch.tensor([[0, 1], [0, 0]])
    data["paper", "to", "author"].edge_index = torch.tensor([[0, 0], [0, 1]])
    path = parse_metapath(data, "author>paper>author")
    assert path == parse_metapath(data.metadata(), "APA")
    assert metapath_adjacency(HeteroGraph.coerce(data), path).nnz == 4


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("paper>venu>paper", UnknownNameError, r'no node type "venu"\. Did you mean "venue"\?[\s\S]*author, paper'),
        ("papr>venue>papr", UnknownNameError, r'no node type "papr"\. Did you mean "paper"'),
        ("PXP", UnknownNameError, r'"PXP": there is no node type "X"'),
        ("author>wrtes>paper>author", UnknownNameError, r'"wrtes"\. Did you mean "writes"'),
        ("author>~write>paper>author", UnknownNameError, r'no relation "~write" leads from author to paper'),
        ("author>cites>paper>author", UnknownNameError, r'no relation "cites" leads from author to paper'),
        ("author>writes", UnknownNameError, r'no node type "writes"'),
        ("paper>venue", GraphrepError, r'ends at venue; it must return to paper\.\s*Try: "paper>venue>paper"'),
        ("author>venue>author", GraphrepError, r"no relation joins author and venue\.\s*Try: author is joined with"),
        (
            "author>paper>author",
            GraphrepError,
            r'several relations lead from author to paper: writes, reviews\.\s*Try: say which: "author>writes>paper"',
        ),
        ("paper>author>paper", GraphrepError, r"several relations lead from paper to author: rev_writes, ~reviews"),
        ("PAP", GraphrepError, r'"A" could be author or area'),
        (["in", "in"], GraphrepError, r'do not fit: "in" leads to venue, "in" starts at paper.\s*Try: "~in"'),
        ("", GraphrepError, "has no step"),
        ("paper", GraphrepError, "has no step"),
        ([], GraphrepError, "has no step"),
        ([("paper", "by", "author")], UnknownNameError, "no edge type"),
        (3, DTypeError, "3 is no meta-path"),
    ],
)  # fmt: skip
def test_errors(text: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        parse_metapath(RICH, text)


def test_the_target() -> None:
    graph = graph_of(DBLP, target="a")
    with pytest.raises(GraphrepError, match='"pcp" starts at p; the target type is a'):
        parse_metapath(graph, "pcp")
    assert parse_metapath(graph, "pcp", target="p") == ["pc", "~pc"]
    assert parse_metapath(graph_of(DBLP), "pcp") == ["pc", "~pc"]
    with pytest.raises(UnknownNameError, match='no node type "x"'):
        parse_metapath(graph, "apa", target="x")
    with pytest.raises(GraphrepError, match="starts at p; the target type is a"):
        parse_metapath(graph, ["pa", "~pa"])
    with pytest.raises(DTypeError, match="is no schema"):
        parse_metapath([("p", "a")], "pap")


# proposals


def test_proposals() -> None:
    found = propose_metapaths(graph_of(DBLP, target="a"))
    assert [(p.text, p.entries) for p in found] == [("apa", 2), ("apcpa", 2), ("aptpa", 2)]
    assert [p.text for p in propose_metapaths(graph_of(DBLP), "p")] == ["pap", "pcp", "ptp"]
    assert [p.text for p in propose_metapaths(graph_of(DBLP), "a", max_length=3)] == ["apa"]
    assert [p.text for p in propose_metapaths(graph_of(DBLP), "a", limit=2)] == ["apa", "apcpa"]


def test_every_proposal_reads_back() -> None:
    graph = graph_of(RICH)
    for target in graph.node_types:
        found = propose_metapaths(graph, target, limit=50, max_length=6)
        assert len({p.text for p in found}) == len(found)
        assert [len(p.path) for p in found] == sorted(len(p.path) for p in found)
        for proposal in found:
            assert parse_metapath(graph, proposal.text, target) == proposal.path
            counts = metapath_adjacency(graph, proposal.path)
            assert counts.num_rows == counts.num_cols
            assert counts.nnz <= proposal.entries
    papers = [p.text for p in propose_metapaths(graph, "paper", limit=50)]
    assert papers == [
        "paper>rev_writes>author>~rev_writes>paper",
        "paper>~reviews>author>reviews>paper",
        "paper>paper>~cites>paper",
        "paper>venue>paper",
        "paper>venue>area>venue>paper",
    ]


def test_paths_without_entries_are_listed_with_none() -> None:
    edges = {("p", "pa", "a"): [[0], [0]], ("p", "pc", "c"): [[1], [0]], ("c", "cx", "x"): torch.empty(2, 0).long()}
    graph = HeteroGraph(edges, num_nodes={"p": 2, "a": 1, "c": 1, "x": 1})
    assert [(p.text, p.entries) for p in propose_metapaths(graph, "a")] == [("apa", 1), ("apcpa", 0)]
    assert [(p.text, p.entries) for p in propose_metapaths(graph, "p")] == [("pap", 1), ("pcp", 1), ("pcxcp", 0)]


def test_errors_of_proposals() -> None:
    graph = graph_of(RICH)
    with pytest.raises(GraphrepError, match=r"no target type\.\s*Try: target="):
        propose_metapaths(graph)
    with pytest.raises(UnknownNameError, match='Did you mean "paper"'):
        propose_metapaths(graph, "papers")
    for options in ({"limit": 0}, {"max_length": 1}, {"max_length": 2.5}):
        with pytest.raises(GraphrepError, match="must be an integer of"):
            propose_metapaths(graph, "paper", **options)  # type: ignore[arg-type]
    with pytest.raises(DTypeError):
        propose_metapaths(torch.eye(3), "paper")
