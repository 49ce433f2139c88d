"""LMGNN in two processes: the course of one, all stages, one cache, one decision to stop.

Losses agree to 1e-5: float32 sums in another order, through a few steps of Adam.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("transformers")

import lmgnn_scenarios
from processes import run_in_processes

Found = list[dict[str, Any]]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What each of two processes found, by scenario."""
    folder = tmp_path_factory.mktemp("two")
    run_in_processes(Path(lmgnn_scenarios.__file__), folder)
    return [json.loads((folder / f"found-{rank}.json").read_text()) for rank in range(2)]


def close(a: Any, b: Any) -> None:
    torch.testing.assert_close(torch.tensor(a), torch.tensor(b), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["labels", "links"])
def test_every_stage_takes_the_course_of_one_process(found: Found, name: str, tmp_path: Path) -> None:
    """Shares of labels that do not divide, and links whose negatives are those of the whole batch."""
    expected = lmgnn_scenarios.SCENARIOS[name](tmp_path)
    first, second = (part[name] for part in found)
    assert first == second
    assert list(first["losses"]) == list(expected["losses"])
    for stage, losses in expected["losses"].items():
        assert all(math.isfinite(loss) for loss in losses)
        close(first["losses"][stage], losses)
    close(first["embedding"], expected["embedding"])


def test_sharded_layers_take_the_course_of_whole_ones(found: Found, tmp_path: Path) -> None:
    """Layers in parts, passes of three texts, a cache that is encoded again within the stage."""
    expected = lmgnn_scenarios.sharded(tmp_path)
    assert found[0]["sharded"] == found[1]["sharded"]
    for stage, losses in expected["losses"].items():
        close(found[0]["sharded"]["losses"][stage], losses)
    close(found[0]["sharded"]["embedding"], expected["embedding"])
    assert found[0]["sharded"]["whole"]
    assert found[0]["sharded"]["classes"] == lmgnn_scenarios.NODES


def test_process_without_live_text_does_not_hold_up_the_others(found: Found) -> None:
    assert [part["idle"] for part in found] == [{"finite": True}] * 2


def test_all_stop_with_one_and_resume_exactly(found: Found) -> None:
    first, second = (part["interrupted"] for part in found)
    assert first == second
    assert first["stopped"]
    assert first["whole"] == first["resumed"]


def test_cache_is_filled_together(found: Found, tmp_path: Path) -> None:
    """Each process encodes its half; one writes the folder; a stopped filling goes on from the rows that are there."""
    expected = lmgnn_scenarios.encoding(tmp_path)
    assert expected["encoded"] == 301
    assert sum(part["encoding"]["encoded"] for part in found) == 301
    for part in found:
        told = part["encoding"]
        assert told["encoded"] in (150, 151)
        assert 0 < told["left"] < 301
        assert told["complete"]
        assert told["equal"]
        torch.testing.assert_close(torch.tensor(told["rows"]), torch.tensor(expected["rows"]), rtol=0, atol=1e-3)
