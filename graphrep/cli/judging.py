"""The protocols of `graphrep eval` and `graphrep demo`: calls graphrep.eval, shapes tables of mean +- std."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphrep.cli.links import pair_scores
from graphrep.errors import MissingLabelsError, UnknownNameError
from graphrep.registry import suggest

__all__ = [
    "PROBES",
    "PROTOCOLS",
    "check_protocol",
    "judge_clusters",
    "judge_links",
    "judge_probe",
    "judge_probe_splits",
    "mean_std",
    "published_cell",
]

PROBES = ("grace", "gca", "dmgi", "deepwalk", "planetoid")
PROTOCOLS = (*PROBES, "clusters", "links", "reconstruction", "spectrum", "compactness")
_REPEATS = {"grace": 3, "gca": 3, "dmgi": 50, "deepwalk": 5}  # what the protocols' tables average over
_CLASSIFIER = {
    "grace": "one-vs-rest logistic regression",
    "deepwalk": "one-vs-rest logistic regression",
    "gca": "linear layer, Adam",
    "dmgi": "linear layer, Adam",
    "planetoid": "logistic regression",
}
_CLUSTER_FIELDS = ("acc", "nmi", "ari", "macro_f1")

Array = np.ndarray[Any, Any]


def check_protocol(name: str) -> str:
    """`name`, when it is a protocol.

    Raises:
        UnknownNameError: it is none.
    """
    if name not in PROTOCOLS:
        raise UnknownNameError(
            f'Unknown protocol "{name}".{suggest(name, PROTOCOLS)}', hint=f"--protocol {'|'.join(PROTOCOLS)}"
        )
    return name


def mean_std(mean: float, std: float, *, digits: int = 2) -> str:
    """``61.20 +- 0.35``; a single run has no spread and says so.

    Example:
        >>> mean_std(61.204, 0.349), mean_std(61.204, float("nan"))
        ('61.20 +- 0.35', '61.20 (single run)')
    """
    return f"{mean:.{digits}f} (single run)" if math.isnan(std) else f"{mean:.{digits}f} +- {std:.{digits}f}"


def judge_probe(
    z: Any, y: Any, protocol: str, options: Mapping[str, Any], *, first_seed: int = 0, split: Any = None
) -> dict[str, Any]:
    """Linear probe by a protocol of :func:`graphrep.eval.linear_probe`; scores in percent, std with n - 1.

    Args:
        z: (N, d) embeddings.
        y: labels as :func:`graphrep.eval.linear_probe` takes them.
        protocol: which.
        options: `shuffles` (repeats), `C`, `ratios` and `multilabel` of deepwalk, `selection`, `lr`, `weight_decay`,
            `steps` and `normalize` of the others, where given.
        first_seed: of the first repeat; the others follow.
        split: (train, val, test) rows, or None for random ones.
    """
    from graphrep.eval import linear_probe

    if y is None:
        raise MissingLabelsError(f"Protocol {protocol} needs labels.", hint="--labels FILE.csv or --dataset NAME")
    wanted: dict[str, Any] = {"split": split}
    if protocol in _REPEATS:
        repeats = int(options.get("shuffles") or _REPEATS[protocol])
        wanted["seeds"] = range(first_seed, first_seed + repeats)
    if protocol == "deepwalk":
        wanted |= {"c": options.get("C"), "train_ratios": options.get("ratios")}
        if np.ndim(y) == 2:  # a rule for several labels says nothing about one
            wanted["multilabel"] = options.get("multilabel")
    wanted |= {name: options.get(name) for name in ("selection", "lr", "weight_decay", "steps", "normalize")}
    result = linear_probe(z, y, protocol=protocol, **{key: value for key, value in wanted.items() if value is not None})
    rows = [
        {
            "labelled": row.train_ratio,
            "micro_f1": 100 * row.micro_f1,
            "micro_f1_std": 100 * row.micro_f1_std_sample,
            "macro_f1": 100 * row.macro_f1,
            "macro_f1_std": 100 * row.macro_f1_std_sample,
            **({"auc": 100 * row.auc, "auc_std": 100 * row.auc_std_sample} if row.auc_runs else {}),
            "train": row.num_train,
            "val": row.num_val,
            "test": row.num_test,
            "c": sorted(set(row.best_c)),
            "step": row.best_step,
            "micro_f1_runs": [100 * value for value in row.micro_f1_runs],
            "macro_f1_runs": [100 * value for value in row.macro_f1_runs],
        }
        for row in result.rows
    ]
    repeats = len(result.micro_f1_runs)
    noun = "splits" if result.std_over == "data splits" else result.std_over
    spread = f"{repeats} {noun} (std over {result.std_over}, n - 1)" if repeats > 1 else "a single run"
    said = f"protocol {protocol}: {result.num_classes} classes, {spread}, {_CLASSIFIER[protocol]} ({result.backend})"
    if protocol == "deepwalk":
        said += f", C {result.best_c[0]:g}" + (f', multilabel="{result.multilabel}"' if result.multilabel else "")
    elif protocol != "grace":
        said += f", {result.features}, chosen by {result.selection}"
    return {
        "protocol": protocol,
        "about": said,
        "rows": rows,
        "seeds": result.seeds,
        "std_over": result.std_over,
        "selection": result.selection,
        "multilabel": result.multilabel,
    }


def judge_probe_splits(
    z: Any, y: Any, protocol: str, options: Mapping[str, Any], splits: Mapping[str, Any], *, first_seed: int = 0
) -> dict[str, Any]:
    """:func:`judge_probe` on several given splits: one row each, with its name as ``split``."""
    found = {
        name: judge_probe(z, y, protocol, options, first_seed=first_seed, split=split) for name, split in splits.items()
    }
    rows = [{**row, "split": name} for name, one in found.items() for row in one["rows"]]
    return {**next(iter(found.values())), "rows": rows}


def judge_clusters(z: Any, y: Any, *, k: int | None, seeds: Sequence[int]) -> dict[str, Any]:
    """k-means clusters of the raw vectors against the classes of `y`: mean and std over k-means seeds.

    Nodes without a class (-1) take part in the clustering and are left out of the judgement.
    """
    from graphrep.eval import cluster_scores, kmeans, summarize

    if y is None:
        raise MissingLabelsError("Protocol clusters needs labels.", hint="--labels FILE.csv or --dataset NAME")
    y = np.asarray(y)
    if y.ndim == 2:
        raise MissingLabelsError(
            "Protocol clusters needs one label per node; these nodes have several.", hint="--protocol deepwalk"
        )
    known = y >= 0
    k = k or len(np.unique(y[known]))
    runs, labels = [], None
    for seed in seeds:
        found = np.asarray(kmeans(z, k, seed=seed))
        labels = found if labels is None else labels
        runs.append(cluster_scores(y[known], found[known]))
    scores = {}
    for field in _CLUSTER_FIELDS:
        summary = summarize([getattr(run, field) for run in runs])
        scores[field], scores[f"{field}_std"] = summary.mean, summary.std
    about = f"protocol clusters: k-means (k-means++, 10 starts, raw vectors), {k} clusters, {len(runs)} k-means seeds "
    about += f"of one embedding, {int(known.sum())} labelled nodes"
    return {
        "protocol": "clusters",
        "about": about,
        "k": k,
        **scores,
        "seeds": list(seeds),
        "std_over": "k-means seeds",
        "labels": labels,
        "mapped": runs[0].mapped,
    }


def judge_links(z: Array, positive: Array, negative: Array, *, score: str) -> dict[str, Any]:
    """AUC, AP and Hits@K of scored pairs (2, P) against pooled negatives (2, M)."""
    from graphrep.eval import link_scores

    result = link_scores(pair_scores(z, positive, score=score), pair_scores(z, negative, score=score))
    about = f"protocol links: {positive.shape[1]} links against {negative.shape[1]} pairs without one, {score} score"
    hits = {int(rank): value for rank, value in result.hits.items()}
    return {"protocol": "links", "about": about, "auc": result.auc, "ap": result.ap, "hits": hits}


def published_cell(published: Mapping[str, Any], ratio: float | None, split: str = "") -> str:
    """The authors' micro and macro F1 (%) at a share of labels, or nothing.

    Args:
        published: lists ``ratios``, ``micro_f1`` and ``macro_f1`` of one length; one number each without ratios; or
            ``labels``, numbers of labelled nodes per class, in their place.
        ratio: share of labels between 0 and 1; None where the split was given.
        split: its name, where several were given: the labelled nodes per class.

    Example:
        >>> published_cell({"ratios": [0.1, 0.5], "micro_f1": [37.23, 41.22], "macro_f1": [22.81, 27.53]}, 0.5)
        '41.22 / 27.53'
        >>> published_cell({"labels": [20, 40], "micro_f1": [88.1, 87.5], "macro_f1": [88.6, 87.6]}, None, "40")
        '87.50 / 87.60'
    """
    if "labels" in published:
        names = [str(count) for count in published["labels"]]
        return _published_at(published, names.index(split)) if split in names else ""
    ratios: list[float | None] = [float(r) for r in published.get("ratios", ())]
    if not ratios and published.get("micro_f1"):
        ratios = [ratio]
    same = (r == ratio or (r is not None and ratio is not None and abs(r - ratio) < 1e-9) for r in ratios)
    place = next((i for i, found in enumerate(same) if found), None)
    return "" if place is None else _published_at(published, place)


def _published_at(published: Mapping[str, Any], place: int) -> str:
    found = [published.get(name, ()) for name in ("micro_f1", "macro_f1")]
    return " / ".join(f"{values[place]:.2f}" if place < len(values) else "-" for values in found)
