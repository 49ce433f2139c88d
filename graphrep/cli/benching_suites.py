"""The suites of `graphrep bench`: methods with their variants, data sets, and what is judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from graphrep.eval.heuristics import HEURISTICS

__all__ = ["SUITES", "Suite", "Variant"]


@dataclass(frozen=True)
class Variant:
    """A row of the table.

    Attributes:
        label: what the table says.
        method: a registered method.
        params: beside those of its recipe.
        base: label of the row that it is compared with on the same seeds.
        recipe: what follows the set's name in the name of its recipe.
    """

    label: str
    method: str
    params: dict[str, Any] = field(default_factory=dict)
    base: str | None = None
    recipe: str = ""


@dataclass(frozen=True)
class Suite:
    """Methods with their variants, what is taken when none are named, and how results are judged."""

    variants: dict[str, tuple[Variant, ...]]
    methods: tuple[str, ...]
    datasets: tuple[str, ...]
    protocols: tuple[str, ...] = ()  # of embeddings
    task: str = "embed"  # or "cluster", "recommend", "hetero", "linkpred", "lmgnn": what is judged


def _with_pot(method: str, title: str, weight: float) -> tuple[Variant, ...]:
    pot = {"pot": True, "pot_weight": weight}
    return Variant(title, method), Variant(f"{title} + POT", method, pot, title)


_MASKED = {"drop_edge_rates": [0.2, 0.4], "drop_feature_rates": [0.3, 0.4], "temperature": 0.4}
_FROZEN = "frozen LM + GCN"
_SOUND = {"pot": True, "pot_weight": 0.4, "pot_bound": "best"}
SUITES: dict[str, Suite] = {
    "contrastive": Suite(
        variants={
            "grace": (*_with_pot("grace", "GRACE", 0.4), Variant("GRACE + POT, sound bound", "grace", _SOUND, "GRACE")),
            "gca": _with_pot("gca", "GCA", 0.3),
            "progcl": _with_pot("progcl", "ProGCL", 0.3),
            "costa": _with_pot("costa", "COSTA", 0.2),
            "ccassg": (Variant("CCA-SSG", "ccassg"),),
        },
        methods=("grace",),
        datasets=("cora", "citeseer"),
        protocols=("grace", "gca"),
    ),
    "planetoid": Suite(
        variants={
            "ccassg": (Variant("CCA-SSG", "ccassg"),),
            "grace": (
                Variant("GRACE, as published with POT", "grace"),
                Variant("GRACE, masked columns", "grace", _MASKED),
            ),
        },
        methods=("ccassg", "grace"),
        datasets=("cora", "citeseer"),
        protocols=("planetoid",),
    ),
    "clustering": Suite(
        variants={
            "scgc": (Variant("SCGC*", "scgc"),),
            "scgc_full": (Variant("SCGC", "scgc", {"variant": "full"}, recipe="_full"),),
            "pamc": (Variant("PamC", "pamc"),),
            "baselines": (
                Variant("k-means, raw features", "kmeans"),
                Variant("k-means, smoothed features", "smooth"),
                Variant("spectral", "spectral-clustering"),
                Variant("Louvain, K wanted", "louvain"),
                Variant("Leiden, K wanted", "leiden"),
            ),
            "dmon": (Variant("DMoN", "dmon"),),
        },
        methods=("scgc", "scgc_full", "pamc", "dmon", "baselines"),
        datasets=("acm", "dblp", "clustering/citeseer", "usps", "cora", "eat", "digits"),
        task="cluster",
    ),
    "recommend": Suite(
        variants={
            "lightgcl": (Variant("LightGCL", "lightgcl"),),
            "lightgcn": (Variant("LightGCN", "lightgcn"),),
            "simgcl": (Variant("SimGCL", "simgcl"),),
            "mf": (Variant("MF", "mf"),),
            "popularity": (Variant("Popularity", "popularity"),),
        },
        methods=("lightgcl", "lightgcn", "simgcl", "mf", "popularity"),
        datasets=("lastfm", "yelp_sparse", "gowalla", "amazon_beauty"),
        task="recommend",
    ),
    "hetero": Suite(
        variants={
            "meow": (Variant("MEOW", "meow"),),
            "ablations": (
                Variant("MEOW, no weights", "meow", {"weights": "none"}),
                Variant("MEOW, no prototypes", "meow", {"prototype_weight": 0.0}),
                Variant("MEOW, coarse only", "meow", {"views": "coarse"}),
            ),
            "adameow": (
                Variant("AdaMEOW", "adameow"),
                Variant("AdaMEOW, normalised weights", "adameow", {"normalise_weights": True}),
            ),
            "heco": (Variant("HeCo", "heco"),),
        },
        methods=("meow", "ablations", "adameow", "heco"),
        datasets=("acm", "dblp", "imdb", "freebase"),
        task="hetero",
    ),
    "linkpred": Suite(
        variants={
            "ncn": (Variant("NCN", "ncn"),),
            "ncnc": (Variant("NCNC", "ncnc"),),
            "ablations": (Variant("NCN, targets kept", "ncn", {"remove_targets": False}, "NCN"),),
            "heuristics": tuple(Variant(found.title, found.name) for found in HEURISTICS.values()),
            "fastrp": (Variant("FastRP", "fastrp"),),
            "spectral": (Variant("spectral", "spectral"),),
            "deepwalk": (Variant("DeepWalk", "deepwalk"),),
            "line": (Variant("LINE", "line"),),
            "node2vec": (Variant("node2vec", "node2vec"),),
        },
        methods=("ncn", "ncnc", "ablations", "heuristics", "fastrp", "deepwalk"),
        datasets=("cora", "citeseer", "usair", "celegans", "ns", "pb", "power", "yeast", "ecoli", "facebook"),
        task="linkpred",
    ),
    "lmgnn": Suite(
        variants={
            "tfidf": (
                Variant("TF-IDF, no graph", "tfidf"),
                Variant("TF-IDF + GCN", "tfidf-gnn", {"conv": "gcn"}, _FROZEN),
            ),
            "frozen": (
                Variant("frozen LM, no graph", "lm"),
                Variant(_FROZEN, "lmgnn", {"stages": ["gnn"], "conv": "gcn"}),
            ),
            "sage": (Variant("frozen LM + SAGE", "lmgnn", {"stages": ["gnn"], "conv": "sage"}, _FROZEN),),
            "stage1": (Variant("LM trained + GCN", "lmgnn", {"stages": ["lm", "gnn"], "conv": "gcn"}, _FROZEN),),
            "joint": (Variant("joint", "lmgnn", {"stages": ["lm", "gnn", "joint"], "conv": "gcn"}, _FROZEN),),
            "glem": (Variant("GLEM", "lmgnn", {"stages": ["lm", "gnn", "glem"], "conv": "gcn"}, _FROZEN),),
        },
        methods=("tfidf", "frozen", "sage", "stage1", "joint", "glem"),
        datasets=("cora_text",),
        task="lmgnn",
    ),
}
