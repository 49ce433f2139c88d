"""Training in two processes on the CPU equals training in one: gradients, negatives, decisions, saved states.

One pair of processes runs all scenarios; the single process of the tests runs them again for comparison. Float64
results agree to 1e-12 (sums in another order), float32 ones after a dozen steps of Adam to 1e-4.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import scenarios
import torch
from processes import run_in_processes
from torch import nn

from graphrep.errors import GraphrepError, ShapeError, UnknownNameError
from graphrep.train.distributed import all_rows, launched, mean_over_all, process_group, world_size, wrap

Found = list[dict[str, Any]]
SCENARIOS = Path(scenarios.__file__)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What each of two processes found, by scenario."""
    folder = tmp_path_factory.mktemp("two")
    run_in_processes(SCENARIOS, folder)
    return [json.loads((folder / f"found-{rank}.json").read_text()) for rank in range(2)]


def alone(name: str, folder: Path) -> dict[str, Any]:
    return scenarios.SCENARIOS[name](folder)


def close(a: Any, b: Any, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(torch.tensor(a).double(), torch.tensor(b).double(), rtol=tolerance, atol=tolerance)


def test_shares_and_decisions(found: Found) -> None:
    first, second = (part["places"] for part in found)
    assert first["seven"] == [0, 2, 4, 6]
    assert second["seven"] == [1, 3, 5, 0]  # equal shares: the first entry again
    assert second["seven_unequal"] == [1, 3, 5]
    assert first["one"] == second["one"] == [0]
    assert first["none"] == second["none"] == []
    assert first["pairs"] == [[0, 2], [3, 5]]
    assert second["pairs"] == [[1, 0], [4, 3]]
    assert first["any"] == second["any"] == [True, False]
    assert first["mean"] == second["mean"] == 0.5
    assert first["main"] == second["main"] == {"rank": 0}
    assert (first["is_main"], second["is_main"]) == (True, False)
    seeds = [*first["seeds"], *second["seeds"]]
    assert len(set(seeds)) == 4
    assert seeds[0] == 7


def test_rows_of_all_processes(found: Found) -> None:
    for rank, part in enumerate(found):
        rows = part["rows"]
        assert rows["joined"] == [[0.0, 1.0]]  # none of the first process, one of the second
        assert rows["gradient"] == [[3.0, 3.0]] * rank  # 1 from the first process and 2 from the second
        assert rows["kinds"] == {"torch.float16": 4.0, "torch.int64": 4.0}
        assert rows["empty"] == [0, 3]


@pytest.mark.parametrize("name", ["mean_gradient", "unequal_means", "idle_process", "in_batch"])
def test_gradients_are_those_of_one_process(found: Found, name: str, tmp_path: Path) -> None:
    expected = alone(name, tmp_path)
    for part in found:
        for kind, values in part[name].items():
            if name != "idle_process":
                close(values, expected[kind])
    for kind in expected:
        assert found[0][name][kind] == found[1][name][kind]


def test_average_is_that_of_torch(found: Found) -> None:
    close(found[0]["mean_gradient"]["ours"], found[0]["mean_gradient"]["theirs"])


def test_idle_process_counts_as_zero(found: Found) -> None:
    """The unused layer's gradient is half that of the process that used it; a zero-weight touch changes nothing."""
    module = scenarios.network()
    x, y = scenarios.data()
    (module(x).squeeze(1) - y).square().mean().backward()
    used = scenarios.flat(p.grad for p in module[0].parameters())  # type: ignore[index]
    for how in ("plain", "touch"):
        close(found[0]["idle_process"][how][: len(used)], [value / 2 for value in used])
    close(found[0]["idle_process"]["plain"], found[0]["idle_process"]["touch"])


def test_weights_start_equal(found: Found) -> None:
    expected = scenarios.flat(scenarios.network().parameters())
    assert found[0]["synchronised"] == found[1]["synchronised"] == expected


def test_training_takes_the_course_of_one_process(found: Found, tmp_path: Path) -> None:
    expected = alone("training", tmp_path)
    assert found[0]["training"] == found[1]["training"]
    for kind in ("losses", "parts", "weights"):
        close(found[0]["training"][kind], expected[kind], 1e-10)
    assert found[1]["training"]["told"] == [1, 2, 3, 4, 5, 6]


def test_all_stop_together_and_resume_exactly(found: Found) -> None:
    for part in found:
        told = part["stopping"]
        assert told["stopped"] == 3
        assert told["epochs"] == 6
        assert told["whole"] == told["resumed"]
    assert found[0]["stopping"] == found[1]["stopping"]


def test_noise_differs_between_processes(found: Found, tmp_path: Path) -> None:
    assert found[0]["stopping"]["whole"] != alone("stopping", tmp_path)["whole"]


def test_all_diverge_together(found: Found) -> None:
    first, second = (part["diverging"] for part in found)
    assert "Loss became NaN at epoch 3" in first["error"]
    assert first == second


def test_stop_rule_is_one(found: Found) -> None:
    assert found[0]["plateau"] == found[1]["plateau"]
    assert found[0]["plateau"]["stopped"] == "loss"
    assert found[0]["plateau"]["epochs"] < 40


def test_sharded_parameters_train_alike(found: Found, tmp_path: Path) -> None:
    expected = alone("sharded", tmp_path)
    for part in found:
        close(part["sharded"]["weights"], expected["weights"], 1e-4)
        assert part["sharded"]["shapes"] == expected["shapes"]
    held = [part["sharded"]["local"] for part in found]
    assert sum(held) == expected["local"]
    assert max(held) < 0.7 * expected["local"]


def test_sharded_beside_whole_parameters(found: Found, tmp_path: Path) -> None:
    expected = alone("mixed", tmp_path)
    for part in found:
        close(part["mixed"]["weights"], expected["weights"], 1e-4)
        close(part["mixed"]["norms"], expected["norms"], 1e-4)


def test_checkpoint_that_is_not_shared_is_refused(found: Found) -> None:
    errors = [part["unshared"]["error"] for part in found]
    assert all("is not there in every process" in error for error in errors)


def test_saved_state_of_two_goes_on_in_one(tmp_path: Path) -> None:
    """A state that holds the random numbers of several processes is taken up by one."""
    from graphrep.train import Interrupted, TrainConfig, train
    from graphrep.train.checkpoint import load_state, save_state

    config, path = TrainConfig(**scenarios.CONFIG), tmp_path / "state.safetensors"
    with pytest.raises(Interrupted):
        train(scenarios.Regression(scenarios.network()), config, checkpoint=path, should_stop=lambda: True)
    state = load_state(path, config, "regression")
    state.processes = torch.zeros(2, 2, 5056, dtype=torch.uint8)
    save_state(path, state, config, "regression")
    assert load_state(path, config, "regression").processes.shape == (2, 2, 5056)
    whole, resumed = scenarios.network(), scenarios.network()
    train(scenarios.Regression(whole), config)
    train(scenarios.Regression(resumed), config, checkpoint=path, resume=True)
    assert scenarios.flat(whole.parameters()) == scenarios.flat(resumed.parameters())


def test_one_process_needs_no_group() -> None:
    assert not launched()
    with process_group():
        assert world_size() == 1
    module = nn.Linear(2, 1)
    assert wrap(module, "fsdp") is module


def test_half_a_launcher_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.delenv("MASTER_PORT", raising=False)
    with pytest.raises(GraphrepError, match="MASTER_ADDR, MASTER_PORT"):
        launched()


def test_errors_say_what_is_wrong() -> None:
    with pytest.raises(UnknownNameError, match='parallel is "zero"'):
        wrap(nn.Linear(1, 1), "zero")
    with pytest.raises(ShapeError, match="scalar"):
        all_rows(torch.tensor(1.0))
    with pytest.raises(GraphrepError, match="nothing to average"):
        mean_over_all(torch.empty(0))
