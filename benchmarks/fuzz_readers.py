"""Damaged files through every reader: ``python -m benchmarks.fuzz_readers --count 100000 --seed 0``.

Each case takes a small file of some format and flips, cuts, inserts or repeats bytes, or builds one that is wrong in a
planned way (types, shapes, negative or huge node numbers, NaN, headers that promise terabytes, archives that unpack
without end). The only outcomes allowed are a graph whose parts fit together and a GraphrepError; anything else is kept
as a file and ends the program with status 1. Every process may take only so much memory more than it starts with, and
a second of CPU time per file. ``--case 17`` runs one case again and shows what happens.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import multiprocessing
import random
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.fuzz_seeds import BUILDERS, KINDS, seeds

__all__ = ["main", "mutate", "run_case", "run_cases"]

MEMORY = 1 << 30  # bytes of address space above what the process starts with
SECONDS = 20  # a file that takes longer counts as hanging
_TOKENS = (
    b"nan", b"-1", b"0", b"1e999", b"99999999999999999999", b"2147483648", b"\0", b'"', b",", b";", b"\t", b"\r", b"\n",
    b"<", b">", b"&a;", b"<!DOCTYPE a [<!ENTITY a 'b'>]>", b"[", b"]", b"{", b"}", b"null", b"true", b"\xff\xfe",
    b"\xc3", b"source", b"target", b"weight", b"label", b"#", b"NaN", b"Infinity", b"-", b"\x80\x02c", b"PK\x03\x04",
    b"PAR1",
)  # fmt: skip
_NUMBERS = (b"-1", b"0", b"7", b"4294967296", b"1e400", b"99999999999999999999", b"0.5", b"")
_OPTIONS: tuple[dict[str, Any], ...] = (
    {}, {}, {"raw": True}, {"directed": True}, {"directed": False, "keep_self_loops": True}, {"weight": False},
    {"fill_nan": 0.0},
)  # fmt: skip


class _Hang(BaseException):
    """Raised by the alarm; no reader may catch it."""


def mutate(content: bytes, rng: random.Random) -> bytes:
    """One to eight random changes."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(data) + 1)
        change = rng.randrange(9)
        if change == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif change == 1 and at < len(data):
            data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif change == 2:
            del data[at:]
        elif change == 3:
            del data[at : at + rng.choice((1, 2, 4, 16, 100))]
        elif change == 4:
            data[at:at] = rng.choice(_TOKENS)
        elif change == 5:
            data[at:at] = data[at : at + rng.choice((1, 4, 32, 300))]
        elif change == 6:
            data[at : at + rng.choice((1, 2, 4, 8))] = rng.choice(_TOKENS)
        elif change == 7:
            other = rng.randrange(len(data) + 1)
            data[at : at + 8] = data[other : other + 8]
        elif numbers := [m.span() for m in re.finditer(rb"[0-9]+", data)]:
            start, end = rng.choice(numbers)
            data[start:end] = rng.choice(_NUMBERS)
    return bytes(data)


def repack(content: bytes, rng: random.Random) -> bytes:
    """A zip archive with one changed member and right checksums, so that the change gets past them."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w") as new:
        members = old.infolist()
        chosen = rng.choice(members).filename
        for member in members:
            inside = old.read(member)
            new.writestr(member, mutate(inside, rng) if member.filename == chosen else inside)
    return file.getvalue()


def make_case(number: int, seed: int, corpus: dict[str, list[bytes]]) -> tuple[str, bytes, dict[str, Any]]:
    """Ending, content and options of a case; the same for the same number and seed."""
    rng = random.Random(f"{seed}-{number}")
    kind = rng.choices(list(KINDS), weights=list(KINDS.values()))[0]
    builders = BUILDERS.get(kind)
    if builders is not None and rng.random() < 0.4:
        content = rng.choice(builders)(rng)
    elif kind in ("npz", "pt") and rng.random() < 0.6:
        content = repack(rng.choice(corpus[kind]), rng)
    else:
        content = mutate(rng.choice(corpus[kind]), rng)
    ending = kind if rng.random() < 0.97 else rng.choice(list(KINDS))
    return ending, content, rng.choice(_OPTIONS)


def run_case(path: Path, options: dict[str, Any]) -> str:
    """``graph``, the name of a GraphrepError, or ``TRACEBACK ...``."""
    import graphrep as gr

    try:
        graph = gr.read(path, **options)
        problem = _problem(graph)
    except gr.GraphrepError as error:
        return type(error).__name__
    except (Exception, _Hang) as error:
        return f"TRACEBACK {type(error).__name__}: {str(error)[:100]}"
    return "graph" if problem is None else f"TRACEBACK {problem}"


def _problem(graph: Any) -> str | None:
    """Why a graph that was read is none; objects with several kinds of nodes check themselves when they are made."""
    import torch

    import graphrep as gr

    if not isinstance(graph, gr.Graph):
        return None
    ends, count = graph.edge_index, graph.num_nodes
    if ends.numel() and (int(ends.min()) < 0 or int(ends.max()) >= count):
        return "an edge leaves the graph"
    if graph.edge_weight is not None and not bool(torch.isfinite(graph.edge_weight).all()):
        return "a weight is not finite"
    rows = [len(part) for part in (graph.x, graph.y, graph.ids) if part is not None]
    return None if all(n == count for n in rows) else "parts of different lengths"


@contextlib.contextmanager
def _limits(memory: int | None) -> Iterator[None]:
    """An alarm for files that hang, and an end of the address space."""

    def hang(*_: Any) -> None:
        raise _Hang(f"more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, hang)
    if memory is not None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def run_cases(
    numbers: Iterable[int], seed: int, folder: Path, *, memory: int | None = None, corpus: Any = None
) -> dict[str, Any]:
    """Runs cases in this process; the file of every bad one stays in `folder`.

    Returns:
        outcomes {ending: {outcome: cases}}, seconds {ending: total}, bad [(number, outcome)], peak_bytes.
    """
    corpus = seeds() if corpus is None else corpus
    outcomes: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    seconds = dict.fromkeys(KINDS, 0.0)
    bad: list[tuple[int, str]] = []
    _warm_up(corpus, folder)
    with _limits(memory), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in numbers:
            ending, content, options = make_case(number, seed, corpus)
            path = folder / f"case.{ending}"
            path.write_bytes(content)
            (folder / "current").write_text(f"{number} {ending}")
            signal.alarm(SECONDS)
            start = time.perf_counter()
            outcome = run_case(path, options)
            seconds[ending] += time.perf_counter() - start
            signal.alarm(0)
            outcomes[ending][outcome.split()[0]] += 1
            if outcome.startswith("TRACEBACK"):
                bad.append((number, outcome))
                path.rename(folder / f"bad-{number}.{ending}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "outcomes": {kind: dict(sorted(found.items())) for kind, found in outcomes.items()},
        "seconds": seconds, "bad": bad, "peak_bytes": peak,
    }  # fmt: skip


def _warm_up(corpus: dict[str, list[bytes]], folder: Path) -> None:
    """Reads every seed once, so that imports and compiled code are there before memory is limited."""
    for kind, contents in corpus.items():
        for content in contents:
            path = folder / f"warm.{kind}"
            path.write_bytes(content)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                outcome = run_case(path, {})
            if outcome != "graph":
                raise RuntimeError(f"a well-formed {kind} file gives {outcome}")
            path.unlink()


def _shard(numbers: range, seed: int, folder: str, result: str) -> None:
    import torch

    torch.set_num_threads(1)
    found = run_cases(numbers, seed, Path(folder), memory=MEMORY)
    Path(result).write_text(json.dumps(found))


def _run_shards(count: int, seed: int, folder: Path, processes: int) -> list[dict[str, Any]]:
    """One result per process; a process that dies is one with a bad case, and its other cases do not count."""
    context = multiprocessing.get_context("spawn")
    running = []
    for part in range(processes):
        place = folder / str(part)
        place.mkdir(parents=True)
        arguments = (range(part, count, processes), seed, str(place), str(place / "result.json"))
        process = context.Process(target=_shard, args=arguments)
        process.start()
        running.append((process, place))
    results = []
    for process, place in running:
        process.join()
        if (place / "result.json").is_file():
            results.append(json.loads((place / "result.json").read_text()))
        else:
            current = (place / "current").read_text() if (place / "current").is_file() else "?"
            outcome = f"TRACEBACK the process ended with {process.exitcode} at case {current}"
            results.append({"outcomes": {}, "seconds": {}, "bad": [(current, outcome)], "peak_bytes": 0})
    return results


def summarise(results: list[dict[str, Any]], count: int, seed: int, elapsed: float) -> dict[str, Any]:
    """What goes into the result file."""
    from benchmarks.machine import circumstances

    formats: dict[str, Any] = {}
    for kind in KINDS:
        outcomes: Counter[str] = Counter()
        for result in results:
            outcomes.update(result["outcomes"].get(kind, {}))
        total, spent = sum(outcomes.values()), sum(r["seconds"].get(kind, 0.0) for r in results)
        rate = total / spent if spent else 0.0
        formats[kind] = {"files": total, "outcomes": dict(outcomes.most_common()), "files_per_second": rate}
    bad = [entry for result in results for entry in result["bad"]]
    files = sum(found["files"] for found in formats.values())
    return {
        "program": f"python -m benchmarks.fuzz_readers --count {count} --seed {seed}", "files": files,
        "tracebacks": len(bad), "examples": bad[:20], "seconds": elapsed, "files_per_second": files / elapsed,
        "processes": len(results), "peak_bytes": max(r["peak_bytes"] for r in results), "memory_limit_bytes": MEMORY,
        "formats": formats, "begin": circumstances(),
    }  # fmt: skip


def _print(summary: dict[str, Any]) -> None:
    for kind, found in summary["formats"].items():
        listed = ", ".join(f"{name} {number}" for name, number in found["outcomes"].items())
        print(f"{kind:8} {found['files']:7} files  {found['files_per_second']:6.0f}/s  {listed}")
    print(
        f"{summary['files']} files in {summary['seconds']:.0f} s on {summary['processes']} processes, peak "
        f"{summary['peak_bytes'] / 2**20:.0f} MiB, {summary['tracebacks']} tracebacks"
    )
    for number, outcome in summary["examples"]:
        print(f"  case {number}: {outcome}")


def _again(number: int, seed: int) -> int:
    """One case, with its traceback."""
    import graphrep as gr

    ending, content, options = make_case(number, seed, seeds())
    path = Path(tempfile.mkdtemp()) / f"case.{ending}"
    path.write_bytes(content)
    print(f"{path}: {len(content)} bytes, options {options}")
    try:
        print(gr.read(path, **options))
    except Exception:
        traceback.print_exc()
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Returns 1 when anything but a graph or a GraphrepError came out."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz_readers", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--case", type=int, help="run this case alone and show what happens")
    parser.add_argument("--keep", type=Path, help="new folder for the files; default a temporary one")
    parser.add_argument("--out", type=Path, help="write the summary as JSON")
    options = parser.parse_args(arguments)
    if options.case is not None:
        return _again(options.case, options.seed)
    folder = options.keep or Path(tempfile.mkdtemp(prefix="fuzz-"))
    start = time.perf_counter()
    results = _run_shards(options.count, options.seed, folder, options.processes)
    summary = summarise(results, options.count, options.seed, time.perf_counter() - start)
    _print(summary)
    if options.out is not None:
        from benchmarks.machine import write_json

        write_json(options.out, summary)
    if summary["tracebacks"]:
        print(f"Files: {folder}")
    return 1 if summary["tracebacks"] else 0


if __name__ == "__main__":
    sys.exit(main())
