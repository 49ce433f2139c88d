"""A few hundred damaged files through every reader; `benchmarks/fuzz_readers.py` makes them by the hundred thousand."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import fuzz_readers
from benchmarks.fuzz_seeds import BUILDERS, KINDS

pytest.importorskip("pyarrow")


@pytest.fixture(scope="module")
def corpus() -> dict[str, list[bytes]]:
    return fuzz_readers.seeds()


def test_damaged_files_give_graphs_or_typed_errors(tmp_path: Path, corpus: dict[str, list[bytes]]) -> None:
    found = fuzz_readers.run_cases(range(600), seed=20, folder=tmp_path, corpus=corpus)
    assert found["bad"] == []
    outcomes = found["outcomes"]
    assert sum(sum(counts.values()) for counts in outcomes.values()) == 600
    assert all(outcomes[kind] for kind in KINDS)
    assert sum(counts.get("graph", 0) for counts in outcomes.values()) > 30


def test_cases_are_the_same_for_the_same_seed(corpus: dict[str, list[bytes]]) -> None:
    kinds = {number: fuzz_readers.make_case(number, 3, corpus) for number in range(40)}
    text = {n: case for n, case in kinds.items() if case[0] in ("csv", "json", "gml", "gexf", "graphml")}
    assert len(text) > 10
    assert all(fuzz_readers.make_case(number, 3, corpus) == case for number, case in text.items())
    assert set(BUILDERS) <= set(KINDS)


def test_the_check_sees_a_reader_that_breaks(
    tmp_path: Path, corpus: dict[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    import graphrep as gr

    right = gr.read

    def wrong(path: Path, **options):
        if path.name.startswith("case"):
            raise KeyError("x")
        return right(path, **options)

    monkeypatch.setattr(gr, "read", wrong)
    found = fuzz_readers.run_cases(range(5), seed=20, folder=tmp_path, corpus=corpus)
    assert [number for number, _ in found["bad"]] == [0, 1, 2, 3, 4]
    assert len(list(tmp_path.glob("bad-*"))) == 5
