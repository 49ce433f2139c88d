"""The suite of `graphrep bench` for texts on graphs: random splits per seed, TF-IDF beside every language model."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from graphrep.cli.graphs import find_graph
from graphrep.cli.judging import mean_std
from graphrep.cli.system import peak_memory, reset_peak_memory
from graphrep.cli.texting.baselines import best_probe, reduced_tfidf, row_cosines, tfidf
from graphrep.cli.texting.judging import Row, judge_classes, judge_links
from graphrep.cli.texting.models import MINILM, find_lm
from graphrep.cli.texting.parts import LinkParts, NodeParts, link_parts, node_parts
from graphrep.cli.texting.texts import with_texts
from graphrep.data.check import grouped
from graphrep.errors import DivergedError, MissingExtraError, UnknownNameError
from graphrep.registry import suggest

__all__ = ["TextBench", "lmgnn_line", "lmgnn_params", "lmgnn_run", "lmgnn_table"]

PROTOCOLS: dict[str, tuple[float, float, float]] = {
    "node10": (10.0, 10.0, 80.0), "node60": (60.0, 20.0, 20.0), "link": (80.0, 5.0, 15.0),
}  # fmt: skip
_COLUMNS = {
    "node 10 %": ("node10", "accuracy"), "node 60 %": ("node60", "accuracy"),
    "MRR": ("link", "MRR"), "Hits@1": ("link", "Hits@1"), "Hits@10": ("link", "Hits@10"),
}  # fmt: skip
_LINK = {"task": "link", "hidden_dim": 256, "lr": 0.005, "dropout": 0.2}
_NODE = {"task": "node"}
_OF_TEXTS = ("text_length", "pooling", "lm_layers")
_REDUCED = 384  # columns of TF-IDF under the graph network, as many as MiniLM has
_TEXT = ": text alone"
Array = np.ndarray[Any, Any]


class TextBench:
    """A graph with texts, its splits, and what is computed once for all rows.

    Args:
        dataset: the user's name for it.
        data_dir: root of named data sets.
        folder: for vectors of frozen language models, which later rows take up.
    """

    def __init__(self, dataset: str, data_dir: Path | None, folder: Path) -> None:
        self.graph, _ = with_texts(find_graph(dataset, data_dir=data_dir), None, dataset)
        self.texts = list(self.graph.text.tolist())
        self.folder = folder
        self._words: Any = None
        self._parts: dict[tuple[str, int], NodeParts | LinkParts] = {}
        self._vectors: dict[tuple[Any, ...], Array] = {}

    @property
    def protocols(self) -> list[str]:
        """Those that the set allows: classes need a few nodes of each."""
        y = self.graph.y
        counts = np.zeros(0) if y is None or y.dim() != 1 else np.bincount(np.asarray(y[y >= 0]))
        nodes = ["node10", "node60"] if len(counts) and len(self.texts) >= 20 * len(counts) else []
        return [*nodes, "link"]

    @property
    def words(self) -> Any:
        """TF-IDF of the texts."""
        if self._words is None:
            self._words = tfidf(self.texts)
        return self._words

    def parts(self, protocol: str, seed: int) -> NodeParts | LinkParts:
        """The split of a protocol and a seed."""
        key = (protocol, seed)
        if key not in self._parts:
            make = link_parts if protocol == "link" else node_parts
            self._parts[key] = make(self.graph, shares=PROTOCOLS[protocol], seed=seed)
        return self._parts[key]

    def vectors(self, model: Any) -> Array:
        """(N, h) unit vectors of the frozen language model of an estimator, encoded once."""
        key = (model.lm, model.text_length, model.pooling, None if model.lm else model.seed)
        if key not in self._vectors:
            self._vectors[key] = _frozen(model, self.texts)
        return self._vectors[key]


def lmgnn_params(variant: Any, settings: Mapping[str, Any], changes: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Parameters of a row: the recipe's for texts, the variant's, then the changes; ``protocols`` chooses among them.

    Raises:
        UnknownNameError: a protocol or a parameter that there is not.
    """
    from graphrep.recipes import check_params

    wanted = changes.get("protocols")
    names = [wanted] if isinstance(wanted, str) else list(wanted or ())
    for name in names:
        if name not in PROTOCOLS:
            raise UnknownNameError(
                f'There is no protocol "{name}".{suggest(name, PROTOCOLS)}', hint=", ".join(PROTOCOLS)
            )
    rest = {key: value for key, value in changes.items() if key != "protocols"}
    check_params("lmgnn", rest)
    texts = {key: settings[key] for key in _OF_TEXTS if key in settings}  # the rest is that of the protocols
    own = {**texts, **variant.params, **rest} if variant.method != "tfidf" else {}
    return {**own, **({"protocols": names} if names else {}), "seed": seed}


def lmgnn_run(method: str, params: Mapping[str, Any], data: TextBench) -> dict[str, Any]:
    """One row: every protocol on the split of its seed.

    Args:
        method: ``tfidf`` (no graph), ``tfidf-gnn``, ``lm`` (no graph) or ``lmgnn``.
        params: of :class:`~graphrep.methods.LMGNN`, with seed and perhaps protocols.
        data: the graph.
    """
    given = dict(params)
    seed, wanted = int(given.pop("seed")), given.pop("protocols", None)
    reset_peak_memory()
    scores: dict[str, dict[str, float]] = {}
    facts: dict[str, Any] = {"seconds_by_protocol": {}, "notes": []}
    for protocol in [name for name in data.protocols if wanted is None or name in wanted]:
        if protocol == "link" and "glem" in given.get("stages", ()):
            continue  # it learns classes
        began = time.perf_counter()
        try:
            found, notes = _one(method, given, seed, data, data.parts(protocol, seed))
        except DivergedError as error:
            return {"scores": {}, "status": error.message.splitlines()[0], "seconds": 0.0, "peak_memory_bytes": 0}
        for kind, row in found.items():
            scores[protocol + kind] = row.scores
        facts["notes"] += [f"{protocol}: {note}" for note in notes]
        facts["seconds_by_protocol"][protocol] = round(time.perf_counter() - began, 3)
    return {
        "scores": scores,
        "status": "ok",
        "lm": _lm_name(given) if method in ("lm", "lmgnn") else None,
        "seconds": round(sum(facts["seconds_by_protocol"].values()), 3),
        "peak_memory_bytes": peak_memory(),
        "num_texts": len(data.texts),
        **facts,
    }


def _one(
    method: str, params: dict[str, Any], seed: int, data: TextBench, parts: NodeParts | LinkParts
) -> tuple[dict[str, Row], list[str]]:
    """The scores on one split, those of the text vectors alone where a language model was trained, and notes."""
    if method == "tfidf":
        return {"": _of_rows(data.words, data, parts)}, []
    model = _model(method, params, seed, data, link=isinstance(parts, LinkParts))
    if method == "lm":
        return {"": _of_rows(data.vectors(model), data, parts)}, []
    if isinstance(parts, LinkParts):
        model.fit(parts.data)
        found = judge_links("", model.score, parts.pos, parts.tails)
    else:
        model.fit(data.graph, splits=parts.splits)
        found = judge_classes("", np.asarray(data.graph.y)[parts.test], np.asarray(model.predict())[parts.test])
    rows = {"": found}
    if "lm" in model.stages or "joint" in model.stages:
        rows[_TEXT] = _of_rows(_unit(np.asarray(model.text_embedding_.float())), data, parts)
    return rows, model.notes_


def _of_rows(rows: Any, data: TextBench, parts: NodeParts | LinkParts) -> Row:
    """Logistic regression, or cosines, of unit rows."""
    if isinstance(parts, LinkParts):
        return judge_links("", lambda pairs: row_cosines(rows, pairs), parts.pos, parts.tails)
    y = np.asarray(data.graph.y)
    return judge_classes("", y[parts.test], best_probe(rows, y, (parts.train, parts.val, parts.test))[0])


def _unit(rows: Array) -> Array:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Array = np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)
    return unit


def _model(method: str, params: dict[str, Any], seed: int, data: TextBench, *, link: bool) -> Any:
    from graphrep.methods import LMGNN

    options = {**(_LINK if link else _NODE), "use_features": False, **params, "seed": seed}
    options = {name: tuple(v) if isinstance(v, list) else v for name, v in options.items()}
    if method == "tfidf-gnn":
        return LMGNN(**{**options, **_word_model(data, seed), "stages": ("gnn",), "text_length": 1})
    folder = _lm_folder(params)
    options["lm"] = None if folder is None else str(folder)
    return LMGNN(**{"cache_dir": str(data.folder), **options})


def _word_model(data: TextBench, seed: int) -> dict[str, Any]:
    """TF-IDF in the place of a language model: the token of a text is its number, its state the reduced row."""
    from graphrep.nn import TextEncoder

    place = {text: number for number, text in enumerate(data.texts)}
    table = torch.from_numpy(reduced_tfidf(data.texts, _REDUCED, seed=seed))

    def states(input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return table[input_ids]

    return {
        "lm": TextEncoder(states),
        "tokenizer": lambda texts: [[place[text]] for text in texts],
        "precision": "float32",
    }


def _lm_folder(params: Mapping[str, Any]) -> Path | None:
    """The named language model, else MiniLM where it is installed, else None: a small BERT."""
    if params.get("lm") is not None:
        return find_lm(str(params["lm"]))
    try:
        return find_lm(MINILM)
    except MissingExtraError:
        return None


def _lm_name(params: Mapping[str, Any]) -> str:
    folder = _lm_folder(params)
    if folder is None:
        return "a small BERT trained from scratch on these texts"
    return folder.parent.name if folder.name == "model" else folder.name


def _frozen(model: Any, texts: list[str]) -> Array:
    from graphrep.data import TextTable
    from graphrep.nn import TextEncoder, encode_texts, small_bert

    if model.lm is None:
        made = small_bert(texts, seed=model.seed, max_length=model.text_length)
        encoder, tokenizer = TextEncoder(made.model, pooling=model.pooling), made.tokenizer
    else:
        encoder = TextEncoder(model.lm, train_layers=0, pooling=model.pooling)
        tokenizer = TextEncoder.load_tokenizer(model.lm)
    table = TextTable.from_texts(texts, tokenizer, max_length=model.text_length)
    return _unit(np.asarray(encode_texts(encoder, table, precision=model.precision).float()))


def _value(row: Mapping[str, Any], column: str, kind: str = "") -> float | None:
    protocol, score = _COLUMNS[column]
    found = row["scores"].get(protocol + kind, {}).get(score)
    return None if found is None else 100 * float(found)


def lmgnn_line(row: Mapping[str, Any]) -> str:
    """A finished run, for the log."""
    values = {name: _value(row, name) for name in _COLUMNS}
    told = "  ".join(f"{name} {value:.2f}" for name, value in values.items() if value is not None)
    head = f"{row['dataset']:<12} {row['label']:<30} seed {row['seed']:<3}"
    return f"{head} {told or row['status']}   {row['seconds']:.1f} s"


def lmgnn_table(datasets: Sequence[str], variants: Sequence[Any], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Markdown: a line per set and variant, and one for the texts alone after a language model was trained."""
    head = ["data set", "method", "seeds", *_COLUMNS, "seconds", "peak GiB"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for dataset in datasets:
        mine = [row for row in rows if row["dataset"] == dataset]
        for variant in variants:
            own = sorted((row for row in mine if row["label"] == variant.label), key=lambda row: row["seed"])
            lines += _lines(dataset, variant, own, mine)
    return [*lines, "", *_facts(datasets, rows), _PROTOCOL]


def _lines(
    dataset: str, variant: Any, own: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]
) -> list[str]:
    good = [row for row in own if row["scores"]]
    if not good:
        return [f"| {dataset} | {variant.label} | {own[0]['status']} |" + " |" * (len(_COLUMNS) + 2)] if own else []
    base = [row for row in rows if row["label"] == variant.base and row["scores"]]
    cells = [dataset, variant.label, str(len(good)), *(_cell(good, base, column) for column in _COLUMNS)]
    cells += [f"{np.median([row['seconds'] for row in good]):.3g}"]
    cells += [f"{max(row['peak_memory_bytes'] for row in good) / 2**30:.2f}"]
    lines = ["| " + " | ".join(cells) + " |"]
    if any(key.endswith(_TEXT) for row in good for key in row["scores"]):
        frozen = [row for row in rows if row["method"] == "lm" and row["scores"]]
        alone = [_cell(good, frozen, column, _TEXT) for column in _COLUMNS]
        lines.append("| " + " | ".join([dataset, variant.label + _TEXT, str(len(good)), *alone, "", ""]) + " |")
    return lines


def _cell(good: Sequence[Mapping[str, Any]], base: Sequence[Mapping[str, Any]], column: str, kind: str = "") -> str:
    from graphrep.eval import compare, summarize

    mine = {row["seed"]: value for row in good if (value := _value(row, column, kind)) is not None}
    if not mine:
        return ""
    summary = summarize(list(mine.values()))
    text = mean_std(summary.mean, summary.std)
    other = {row["seed"]: value for row in base if (value := _value(row, column)) is not None}
    shared = sorted(mine.keys() & other.keys())
    if len(shared) < 2:
        return text
    difference = compare([other[s] for s in shared], [mine[s] for s in shared])
    low, high = difference.ci95
    return f"{text} ({difference.mean_difference:+.2f}: {low:+.2f} to {high:+.2f})"


def _facts(datasets: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line on each set and its language model."""
    lines = []
    for dataset in datasets:
        own = [row for row in rows if row["dataset"] == dataset and row["scores"]]
        models = sorted({row["lm"] for row in own if row.get("lm")})
        if own:
            told = f"; language model: {', '.join(models)}" if models else ""
            lines += [f"{dataset}: {grouped(own[0]['num_texts'])} texts{told}.", ""]
    return lines


_PROTOCOL = (
    "Mean +- sample standard deviation over seeds, in percent; each seed draws a new split and starts a new training. "
    "In brackets the mean paired difference to the row on frozen vectors (for texts alone: to the frozen language "
    "model without a graph) and its 95 % interval. Nodes: accuracy on random 10/10/80 and 60/20/20 splits, epoch by "
    "validation accuracy. Links: 80/5/15 of the undirected links, messages over training links alone in every stage, "
    "each test link among 500 fixed pairs of its smaller end that are no links; ties count half. Without a graph: "
    "logistic regression (C by validation) and cosines. TF-IDF under the graph network: its 384 leading singular "
    "directions. Seconds hold for all protocols of a row; vectors of a frozen language model are encoded once and "
    "taken up by later rows."
)
