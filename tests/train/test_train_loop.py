"""The training loop: stop rules, exact resumption, divergence, collapse, determinism, configuration errors."""

from __future__ import annotations

import itertools
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from graphrep.data.tensor_files import read_tensors
from graphrep.errors import CheckpointMismatchError, DivergedError, FileFormatError, GraphrepError, UnknownNameError
from graphrep.train import Callback, CollapseWarning, EpochLog, History, Interrupted, TrainConfig, train
from graphrep.train.checkpoint import saved_history


class Regression:
    """Noisy linear regression with dropout: uses the task's generator, torch's own, and several batches."""

    def __init__(self, width: int = 6, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(5)
        self.x = torch.randn(64, width, generator=generator)
        self.y = self.x.sum(1)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.module: nn.Module = nn.Sequential(nn.Linear(width, 8), nn.Dropout(0.2), nn.Linear(8, 1))

    def batches(self, epoch: int, generator: torch.Generator) -> list[Tensor]:
        return list(torch.randperm(64, generator=generator).split(32))

    def loss(self, batch: Any, epoch: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        noise = torch.randn(len(batch), generator=generator)
        error = self.module(self.x[batch]).squeeze(1) - self.y[batch] - 0.1 * noise
        return error.square().mean(), {"absolute": error.detach().abs().mean()}

    def embed(self) -> Tensor:
        out: Tensor = self.module[0](self.x)  # type: ignore[index]
        return out

    def fingerprint(self) -> str:
        return f"regression {self.x.shape[1]}"


def weights(task: Regression) -> list[Tensor]:
    return [p.detach().clone() for p in task.module.parameters()]


def equal(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


class Recorder(Callback):
    def __init__(self, stop_after: int | None = None) -> None:
        self.epochs: list[int] = []
        self.steps = 0
        self.started: list[int] = []
        self.stop_after = stop_after

    def start(self, config: Any, done: int) -> None:
        self.started.append(done)

    def step_done(self, epoch: int, step: int, loss: float) -> None:
        self.steps += 1

    def epoch_done(self, log: EpochLog) -> None:
        self.epochs.append(log.epoch)

    def wants_to_stop(self) -> bool:
        return bool(self.epochs) and self.epochs[-1] == self.stop_after


def test_the_loss_falls_and_everything_is_logged() -> None:
    task, recorder = Regression(), Recorder()
    history = train(task, TrainConfig(epochs=40, lr=0.02, eval_every=10), callbacks=[recorder])
    assert history.losses[-1] < 0.3 * history.losses[0]
    assert recorder.epochs == list(range(1, 41))
    assert recorder.steps == 80
    assert [log.epoch for log in history.epochs if log.signals] == [10, 20, 30, 40]
    assert history.kept_epoch == 40
    assert history.epochs[3].parts["absolute"] > 0
    assert json.loads(json.dumps(history.to_dict()))["stopped"] == "epochs"
    assert "40 epochs" in repr(history)


def test_same_seed_same_weights_and_the_callers_generator_is_untouched() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, second, other = Regression(), Regression(), Regression()
    for task, seed in ((first, 3), (second, 3), (other, 4)):
        train(task, TrainConfig(epochs=5, seed=seed))
    assert equal(weights(first), weights(second))
    assert not equal(weights(first), weights(other))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("keep", ["last", "best"])
def test_interrupted_and_resumed_equals_uninterrupted(tmp_path: Path, optimizer: str, keep: str) -> None:
    config = TrainConfig(epochs=9, lr=0.01, optimizer=optimizer, keep=keep, schedule="cosine", warmup=2, eval_every=4)
    whole = Regression()
    expected = train(whole, config)
    state, recorder = tmp_path / "checkpoint", Recorder(stop_after=4)
    with pytest.raises(Interrupted, match="epoch 4"):
        train(Regression(), config, callbacks=[recorder], checkpoint=state, should_stop=recorder.wants_to_stop)
    resumed, second = Regression(seed=9), Recorder()
    history = train(resumed, config, callbacks=[second], checkpoint=state, resume=True)
    assert second.started == [4]
    assert second.epochs == [5, 6, 7, 8, 9]
    assert equal(weights(whole), weights(resumed))
    assert history.losses == expected.losses
    assert (history.best_epoch, history.kept_epoch) == (expected.best_epoch, expected.kept_epoch)


def test_a_state_is_written_when_it_is_due(tmp_path: Path) -> None:
    state = tmp_path / "checkpoint"
    train(Regression(), TrainConfig(epochs=3, eval_every=0), checkpoint=state, checkpoint_every=0.0)
    assert "module.0.weight" in read_tensors(state)[0]
    train(Regression(), TrainConfig(epochs=2), checkpoint=tmp_path / "other", checkpoint_every=1e6)
    assert not (tmp_path / "other").exists()


def test_a_state_of_another_run_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "checkpoint"
    train(Regression(), TrainConfig(epochs=2), checkpoint=state, checkpoint_every=0.0)
    with pytest.raises(CheckpointMismatchError, match="regression 6"):
        train(Regression(width=5), TrainConfig(epochs=2), checkpoint=state, resume=True)
    with pytest.raises(CheckpointMismatchError, match=r"lr=0.001; this run has lr=0.5"):
        train(Regression(), TrainConfig(epochs=2, lr=0.5), checkpoint=state, resume=True)
    (tmp_path / "text").write_text("no state")
    with pytest.raises(FileFormatError):
        train(Regression(), TrainConfig(epochs=2), checkpoint=tmp_path / "text", resume=True)
    longer = train(Regression(), TrainConfig(epochs=4), checkpoint=state, resume=True)
    assert len(longer.epochs) == 4, "more epochs are no other run"


class Diverging(Regression):
    """From epoch `at` on the loss, or only its gradient, is NaN."""

    def __init__(self, at: int, *, gradient: bool) -> None:
        super().__init__()
        self.at, self.gradient = at, gradient

    def loss(self, batch: Any, epoch: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        loss, parts = super().loss(batch, epoch, generator)
        if epoch < self.at:
            return loss, parts
        if self.gradient:
            bad = (self.module[2].weight.sum() * 0).sqrt()  # type: ignore[index]  # 0 with an infinite slope times 0
            return loss + bad, parts
        return loss * torch.nan, parts


@pytest.mark.parametrize("gradient", [False, True])
def test_divergence_keeps_the_last_good_state(tmp_path: Path, gradient: bool) -> None:
    task, good = Diverging(4, gradient=gradient), Diverging(4, gradient=gradient)
    train(good, TrainConfig(epochs=3))
    rescue = tmp_path / "model.safetensors"
    wanted = r"epoch 4, step 1 \(largest gradient: 2\.weight\)" if gradient else r"Loss became NaN at epoch 4, step 1"
    with pytest.raises(DivergedError, match=wanted) as caught:
        train(task, TrainConfig(epochs=6), rescue=rescue)
    assert f"Last good state: {rescue} (epoch 3)." in str(caught.value)
    assert "Try: --set lr=0.0001" in str(caught.value)
    assert equal(weights(task), weights(good))
    saved = read_tensors(rescue)[0]
    assert torch.equal(saved["0.weight"], good.module[0].weight)  # type: ignore[index]


def test_loss_plateau_stops_and_keeps_the_best() -> None:
    class Rising(Regression):
        def loss(self, batch: Any, epoch: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
            loss, parts = super().loss(batch, epoch, generator)
            return loss * 0 + abs(epoch - 5) + 1.0, parts

    history = train(Rising(), TrainConfig(epochs=50, stop="loss", patience=3, keep="best"))
    assert (len(history.epochs), history.best_epoch, history.kept_epoch, history.stopped) == (8, 5, 5, "loss")


def test_rankme_stops_and_keeps_the_best() -> None:
    class Shrinking(Regression):
        epoch = 0

        def loss(self, batch: Any, epoch: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
            self.epoch = epoch
            return super().loss(batch, epoch, generator)

        def embed(self) -> Tensor:
            width = 1 + max(1, 7 - abs(self.epoch - 6))  # most dimensions at epoch 6
            return torch.eye(8)[:, :width].repeat(4, 1)

    config = TrainConfig(epochs=60, stop="rankme", patience=6, keep="best", eval_every=2)
    history = train(Shrinking(), config)
    assert (history.best_epoch, history.kept_epoch, history.stopped, len(history.epochs)) == (6, 6, "rankme", 12)


def test_time_budget_and_zero_epochs() -> None:
    history = train(Regression(), TrainConfig(epochs=10_000, time_budget=1e-9))
    assert (len(history.epochs), history.stopped) == (0, "time")
    assert repr(train(Regression(), TrainConfig(epochs=0))) == "History(no epochs)"


class Clustering(Regression):
    """Tells the share of nodes that changed in each epoch from the third on."""

    shares = (0.5, 0.2, 0.04, 0.3, 0.02, 0.6)

    def loss(self, batch: Any, epoch: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Any]]:
        value, parts = super().loss(batch, epoch, generator)
        return value, {**parts, **({"changed": self.shares[epoch - 3]} if epoch > 2 else {})}


def test_stops_at_the_first_epoch_in_which_few_nodes_changed() -> None:
    options: dict[str, Any] = {"epochs": 8, "stop": "changed", "patience": 2, "eval_every": 0}
    history = train(Clustering(), TrainConfig(**options, min_delta=0.05))
    assert (history.stopped, len(history.epochs), history.best_epoch) == ("changed", 5, 5)
    later = train(Clustering(), TrainConfig(**options, min_delta=0.03))
    assert (later.stopped, len(later.epochs)) == ("changed", 7)
    never = train(Clustering(), TrainConfig(**options, min_delta=0.02))
    assert (never.stopped, len(never.epochs), never.best_epoch) == ("epochs", 8, 7)
    with pytest.raises(GraphrepError, match="for methods that cluster"):
        train(Regression(), TrainConfig(**options))


@pytest.mark.parametrize("stop", ["loss", "changed"])
def test_no_rule_stops_before_min_epochs(stop: str) -> None:
    options: dict[str, Any] = {"epochs": 8, "stop": stop, "patience": 2, "min_delta": 0.9, "lr": 1e-5, "eval_every": 0}
    early = train(Clustering(), TrainConfig(**options))
    late = train(Clustering(), TrainConfig(**options, min_epochs=6))
    assert (early.stopped, len(early.epochs)) == (stop, 3)
    assert (late.stopped, len(late.epochs)) == (stop, 6)


def test_earlier_trainings_are_kept_with_the_state(tmp_path: Path) -> None:
    state, config = tmp_path / "checkpoint", TrainConfig(epochs=3, eval_every=0)
    first = train(Regression(), TrainConfig(epochs=2, eval_every=0))
    second = train(Regression(), config, checkpoint=state, checkpoint_every=0.0, earlier=[first])
    assert second.earlier == [first]
    again = train(Regression(), config, checkpoint=state, resume=True)
    assert again.earlier == [first]
    assert again.to_dict()["earlier"][0]["epochs"][1]["loss"] == first.losses[1]
    assert json.loads(json.dumps(again.to_dict()))["earlier"][0]["stopped"] == "epochs"
    found = saved_history(state, "regression 6")
    assert found is not None
    assert found.earlier == [first]
    assert saved_history(state, "regression 7") is None
    state.write_bytes(b"nothing")
    with pytest.raises(FileFormatError, match="state of a training"):
        saved_history(state, "regression 6")


def test_collapse_is_told_once() -> None:
    class Collapsed(Regression):
        def embed(self) -> Tensor:
            return torch.ones(100, 32) + 1e-9 * torch.arange(100.0)[:, None]

    with pytest.warns(CollapseWarning, match=r"collapse: after epoch 2 RankMe of the embedding is 1\.0") as caught:
        train(Collapsed(), TrainConfig(epochs=8, eval_every=2))
    assert len([w for w in caught if w.category is CollapseWarning]) == 1

    class Labelled(Collapsed):
        supervised = True

    with warnings.catch_warnings():
        warnings.simplefilter("error", CollapseWarning)
        train(Labelled(), TrainConfig(epochs=2, eval_every=2))


def test_bfloat16_trains_weights_in_float32() -> None:
    task = Regression()
    history = train(task, TrainConfig(epochs=20, lr=0.02, precision="bfloat16"))
    assert history.losses[-1] < history.losses[0]
    assert all(p.dtype == torch.float32 for p in task.module.parameters())


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_steps_are_those_of_torchs_plain_optimizers(optimizer: str) -> None:
    """Also for a weight that is stored by columns."""

    class Fit:
        def __init__(self) -> None:
            with torch.random.fork_rng():
                torch.manual_seed(0)
                self.module: nn.Module = nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 1))
                weight = self.module[0].weight  # type: ignore[index]
            self.module[0].weight = nn.Parameter(weight.detach().t().contiguous().t())  # type: ignore[index, union-attr]
            self.x = torch.randn(30, 6, generator=torch.Generator().manual_seed(1))

        def batches(self, epoch: int, generator: torch.Generator) -> list[None]:
            return [None]

        def loss(self, batch: Any, epoch: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
            return (self.module(self.x).squeeze(1) - self.x.sum(1)).square().mean(), {}

        def embed(self) -> Tensor:
            return self.x

        def fingerprint(self) -> str:
            return "fit"

    task, other = Fit(), Fit()
    train(task, TrainConfig(epochs=30, lr=0.02, weight_decay=0.01, optimizer=optimizer, eval_every=0))
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[optimizer]
    plain = kind(other.module.parameters(), lr=0.02, weight_decay=0.01, foreach=False)
    for _ in range(30):
        plain.zero_grad()
        other.loss(None, 1, torch.Generator())[0].backward()  # type: ignore[no-untyped-call]
        plain.step()
    for a, b in zip(task.module.parameters(), other.module.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_clipping_bounds_the_step() -> None:
    config = {"epochs": 1, "lr": 1.0, "optimizer": "sgd", "eval_every": 0}
    task = Regression()
    before = torch.cat([w.flatten() for w in weights(task)])
    train(task, TrainConfig(**config, clip_norm=1e-3))  # type: ignore[arg-type]
    moved = torch.cat([w.flatten() for w in weights(task)]) - before
    assert float(moved.norm()) <= 2 * 1e-3 * 1.01  # two steps


@pytest.mark.parametrize(
    ("options", "error", "named"),
    [
        ({"optimizer": "adm"}, UnknownNameError, "optimizer"),
        ({"epochs": -1}, GraphrepError, "epochs"),
        ({"epochs": 2.5}, GraphrepError, "epochs"),
        ({"lr": 0.0}, GraphrepError, "lr"),
        ({"lr": float("nan")}, GraphrepError, "lr"),
        ({"weight_decay": -1.0}, GraphrepError, "weight_decay"),
        ({"stop": "rankme", "eval_every": 0}, GraphrepError, "eval_every"),
        ({"precision": "half"}, UnknownNameError, "precision"),
        ({"min_epochs": -1}, GraphrepError, "min_epochs"),
    ],
)
def test_bad_settings_are_named(options: dict[str, Any], error: type[Exception], named: str) -> None:
    with pytest.raises(error, match=named):
        TrainConfig(**options)


def test_nothing_to_train() -> None:
    task = Regression()
    task.module.requires_grad_(False)
    with pytest.raises(GraphrepError, match="no parameters"):
        train(task, TrainConfig())


def test_rates() -> None:
    config = TrainConfig(epochs=12, lr=1.0, schedule="cosine", warmup=2)
    rates = [config.rate(epoch) for epoch in range(1, 13)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert all(a >= b for a, b in itertools.pairwise(rates[2:]))
    assert 0 < rates[-1] < 0.05
    assert isinstance(History().to_dict(), dict)


class TwoRates(Regression):
    """Its first layer learns at another rate."""

    def __init__(self, factor: float, *, whole: bool = True) -> None:
        super().__init__()
        self.factor, self.whole = factor, whole

    def groups(self) -> list[tuple[list[torch.nn.Parameter], float]]:
        parameters = list(self.module.parameters())
        return [(parameters[:1], self.factor)] + ([(parameters[1:], 1.0)] if self.whole else [])


def test_groups_learn_at_their_own_rates(tmp_path: Path) -> None:
    config = TrainConfig(epochs=6, lr=0.02, schedule="cosine", optimizer="sgd")
    same, plain, still = TwoRates(1.0), Regression(), TwoRates(0.0)
    start = weights(still)
    for task in (same, plain, still):
        train(task, config)
    assert equal(weights(same), weights(plain))
    moved = [not torch.equal(a, b) for a, b in zip(weights(still), start, strict=True)]
    assert moved == [False] + [True] * (len(start) - 1)
    whole = TwoRates(0.1)
    train(whole, config)
    state, recorder = tmp_path / "state", Recorder(stop_after=2)
    with pytest.raises(Interrupted):
        train(TwoRates(0.1), config, callbacks=[recorder], checkpoint=state, should_stop=recorder.wants_to_stop)
    resumed = TwoRates(0.1)
    train(resumed, config, checkpoint=state, resume=True)
    assert equal(weights(whole), weights(resumed))


def test_groups_must_hold_every_parameter() -> None:
    with pytest.raises(GraphrepError, match="every trained parameter"):
        train(TwoRates(1.0, whole=False), TrainConfig(epochs=1))


class Judged(Regression):
    """Tells a hit rate that rises for three epochs."""

    def judge(self) -> dict[str, float]:
        self.seen = getattr(self, "seen", 0) + 1
        return {"hits": min(self.seen, 3) / 4}


def test_hits_choose_the_epoch_and_stop() -> None:
    history = train(Judged(), TrainConfig(epochs=30, stop="hits", keep="best", patience=4, eval_every=1))
    assert (history.stopped, history.best_epoch, history.kept_epoch, len(history.epochs)) == ("hits", 3, 3, 7)
    with pytest.raises(GraphrepError, match="eval_every"):
        TrainConfig(stop="hits", eval_every=0)
