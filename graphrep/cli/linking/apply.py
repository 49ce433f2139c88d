"""What `graphrep linkpred score` and `top` do: a saved predictor on pairs of nodes, or on every node; no training."""

from __future__ import annotations

import csv
import io
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from graphrep.cli.console import Console
from graphrep.cli.linking.inputs import split_of_parts
from graphrep.cli.linking.missing import best_missing
from graphrep.cli.linking.predictors import Predictor, load_predictor
from graphrep.cli.linking.wanted import chosen_nodes
from graphrep.cli.nodes import find_node, id_array
from graphrep.cli.runs import RunFolder
from graphrep.cli.settings import read_config
from graphrep.cli.system import peak_memory, use_threads, versions
from graphrep.data.check import grouped
from graphrep.data.links import LinkSplit
from graphrep.data.split_files import read_link_parts
from graphrep.data.write import atomic_write
from graphrep.errors import EmptyGraphError, FileFormatError, GraphrepError, UnknownNameError

__all__ = ["Saved", "open_run", "score_pairs", "top_links"]

Array = np.ndarray[Any, Any]
_ROWS = 1 << 16  # of a file of pairs, read and scored together
_HEADS = ("source", "src", "from", "u", "node1", "node_1", "a", "i", "head")


@dataclass(frozen=True)
class Saved:
    """A finished run.

    Attributes:
        predictor: fitted on the training links of the split.
        split: the links.
        ids: (N,) external ids.
        method: what the run was about.
    """

    predictor: Predictor
    split: LinkSplit
    ids: Array
    method: str


def open_run(folder: Path) -> Saved:
    """The predictor of a run of ``graphrep linkpred`` with its split.

    Raises:
        FileFormatError: no such run there.
    """
    config = read_config(RunFolder.require(folder))
    if config["run"].get("command") != "linkpred" or not (folder / "split.npz").is_file():
        raise FileFormatError(f"{folder} is no finished run of graphrep linkpred.", hint="runs/linkpred-NAME")
    parts = read_link_parts(folder / "split.npz")
    split = split_of_parts(parts, folder / "split.npz", None, folder.name, allow_leak=True)
    method = str(config["run"]["method"])
    predictor = load_predictor(method, folder, split)
    return Saved(predictor, split, id_array(split.graph.ids, split.graph.num_nodes), method)


def score_pairs(
    console: Console, folder: Path, pairs: Path, *, out: Path | None, sep: str | None, threads: int | None
) -> None:
    """Writes the pairs of a file with their scores, some rows at a time.

    Raises:
        FileFormatError: no run, or a file without two columns.
        UnknownNameError: a node that the graph has not; the message has the line and the closest name.
        EmptyGraphError: no pairs.
    """
    use_threads(threads)
    saved = open_run(folder)
    target = out or Path(f"{pairs.name.split('.')[0]}.scores.csv")
    _check_target(target, pairs, ("source", "target", "score"))
    started, count, best = time.perf_counter(), 0, -np.inf
    place = {str(name): number for number, name in enumerate(saved.ids.tolist())}
    with atomic_write(target) as file:
        file.write(b"source,target,score\n")
        for names, ends in _blocks(pairs, sep, place, saved.ids):
            scores = saved.predictor.score(torch.from_numpy(ends))
            _write(file, ((*pair, f"{value:.6g}") for pair, value in zip(names, scores.tolist(), strict=True)))
            count, best = count + len(names), max(best, float(scores.max()))
        if not count:
            raise EmptyGraphError(f"{pairs} holds no pairs.", hint="a line for each pair: source,target")
    seconds = time.perf_counter() - started
    head = f"{saved.predictor.title}  {grouped(count)} pairs  from {folder}  "
    console.say(f"{head:.<70} {seconds:.2f} s   peak {peak_memory() / 2**30:.2f} GiB")
    console.say(f"Wrote {target} ({grouped(count)} rows: source, target, score{_meaning(saved)})")
    console.finish(
        {
            "out": str(target), "run": str(folder), "method": saved.method, "pairs": count, "largest": best,
            "seconds": round(seconds, 6), "versions": versions(),
        },
        path=target,
    )  # fmt: skip


def _meaning(saved: Saved) -> str:
    """What a score is."""
    if saved.predictor.kind == "trained":
        return ", a logit: above 0 a link is likelier than a random pair"
    return "; only their order means something"


def _blocks(
    path: Path, sep: str | None, place: dict[str, int], ids: Array
) -> Iterator[tuple[list[tuple[str, str]], Array]]:
    """Names and (2, P) numbers of the pairs of a file, some rows at a time; a header is passed over."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            first = stream.readline()
            separator = sep or ("\t" if path.suffix.lower() == ".tsv" else max(",\t; ", key=first.count))
            stream.seek(0)
            reader = csv.reader(stream, delimiter=separator)
            lines = ((number, row) for number, row in enumerate(reader, start=1) if row)
            while block := list(itertools.islice(lines, _ROWS)):
                if block[0][0] == 1 and block[0][1][0].strip().lower() in _HEADS and block[0][1][0] not in place:
                    block = block[1:]
                if block:
                    yield _numbered(path, block, place, ids)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FileFormatError(
            f"Cannot read pairs from {path}: {reason}.", hint="a csv file with source,target"
        ) from error


def _numbered(
    path: Path, block: list[tuple[int, list[str]]], place: dict[str, int], ids: Array
) -> tuple[list[tuple[str, str]], Array]:
    names, ends = [], np.empty((2, len(block)), dtype=np.int64)
    for at, (line, row) in enumerate(block):
        if len(row) < 2:
            raise FileFormatError(
                f"{path}, line {line}: expected 2 columns (source, target), found {len(row)}.", hint='--sep ";"?'
            )
        pair = (row[0].strip(), row[1].strip())
        for side, name in enumerate(pair):
            if name not in place:
                _refuse(path, line, name, ids)
            ends[side, at] = place[name]
        names.append(pair)
    return names, ends


def _refuse(path: Path, line: int, name: str, ids: Array) -> None:
    """Raises with the closest name."""
    try:
        find_node(name, ids)
    except UnknownNameError as error:
        raise UnknownNameError(f"{path}, line {line}: {error.message}", hint=error.hint) from None
    raise UnknownNameError(f'{path}, line {line}: no node "{name}".', hint="ids as they are in the graph")


def top_links(
    console: Console, folder: Path, *, nodes: str | None, k: int, candidates: str, out: Path | None,
    threads: int | None,
) -> None:  # fmt: skip
    """Writes the best missing links of nodes, some nodes at a time.

    Raises:
        FileFormatError: no run there.
        UnknownNameError: an unknown node.
    """
    use_threads(threads)
    saved = open_run(folder)
    chosen = chosen_nodes(nodes, saved.ids)
    target = out or folder / "missing_links.csv"
    _check_target(target, folder / "split.npz", ("node", "rank", "other", "score"))
    started, rows, short, shown = time.perf_counter(), 0, 0, list[str]()
    with atomic_write(target) as file:
        file.write(b"node,rank,other,score\n")
        for block, others, scores in best_missing(saved.predictor, saved.split, chosen, k, candidates=candidates):
            at, rank = np.nonzero(others >= 0)
            cells = (saved.ids[block[at]], rank + 1, saved.ids[others[at, rank]], scores[at, rank])
            listed = zip(*(column.tolist() for column in cells), strict=True)
            _write(file, ((node, place, other, f"{value:.6g}") for node, place, other, value in listed))
            rows, short = rows + len(at), short + int((others < 0).any(1).sum())
            for node, found in zip(block[: 3 - len(shown)], others, strict=False):
                names = ", ".join(str(saved.ids[o]) for o in found[:5] if o >= 0)
                shown.append(f"  {saved.ids[node]}: {names or 'nothing is left'}")
    seconds = time.perf_counter() - started
    head = f"{saved.predictor.title}  {grouped(len(chosen))} nodes  from {folder}  "
    console.say(f"{head:.<70} {seconds:.2f} s   peak {peak_memory() / 2**30:.2f} GiB")
    for line in shown:
        console.say(line)
    if short:
        console.say(f"  {grouped(short)} nodes have fewer than {k} candidates.")
    console.say("  Links of every part of the split are left out, test links too.")
    console.say(f"Wrote {target} ({grouped(rows)} rows: node, rank, other, score)")
    console.finish(
        {
            "out": str(target), "run": str(folder), "method": saved.method, "k": k, "nodes": len(chosen),
            "rows": rows, "short": short, "seconds": round(seconds, 6), "versions": versions(),
        },
        path=target,
    )  # fmt: skip


def _write(file: Any, rows: Iterator[tuple[Any, ...]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    file.write(text.getvalue().encode("utf8"))


def _check_target(target: Path, source: Path, columns: tuple[str, ...]) -> None:
    """Refuses a file that must not be replaced, or cannot be written, before any work; one of before is replaced.

    Raises:
        GraphrepError: it is the source, a folder, something else, or in no folder.
    """
    if target.is_dir() or not target.absolute().parent.is_dir():
        raise GraphrepError(f"{target} cannot be written: no such file or folder.", hint="--out FILE.csv")
    if not target.exists():
        return
    if source.exists() and target.samefile(source):
        raise GraphrepError(f"{target} is the input itself; it would be overwritten.", hint="another name with --out")
    with target.open("rb") as stream:
        ours = stream.readline().strip() in (b"", ",".join(columns).encode())
    if not ours:
        raise GraphrepError(
            f"{target} exists and holds something else; it would be overwritten.", hint="another name with --out"
        )
