"""The training loop, one for all methods: stop rules, saved states, an early word on divergence and collapse."""

from __future__ import annotations

import functools
import math
import os
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from graphrep.data.tensor_files import write_tensors
from graphrep.errors import CheckpointMismatchError, DivergedError, GraphrepError
from graphrep.train import distributed
from graphrep.train.checkpoint import State, clone, is_finite, load_state, save_state
from graphrep.train.config import TrainConfig
from graphrep.train.seed import seeded
from graphrep.train.sharding import apart, clip, full_state, gradient_norm, laid_out_as, load_full_state, plain
from graphrep.train.signals import Plateau, look, warn_of_collapse
from graphrep.train.task import Callback, EpochLog, GroupedTask, History, JudgedTask, Task

__all__ = ["Interrupted", "train"]

_OPTIMIZERS: dict[str, Any] = {  # fused: one pass over each parameter instead of a dozen
    "adam": functools.partial(torch.optim.Adam, fused=True),
    "adamw": functools.partial(torch.optim.AdamW, fused=True),
    "sgd": torch.optim.SGD,
}


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop; its state is saved where a checkpoint was named."""


def train(
    task: Task,
    config: TrainConfig,
    *,
    callbacks: Sequence[Callback] = (),
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: float = 30.0,
    resume: bool = False,
    rescue: str | os.PathLike[str] | None = None,
    should_stop: Callable[[], bool] | None = None,
    earlier: Sequence[History] = (),
) -> History:
    """Trains ``task.module`` in place.

    Each epoch goes through the batches of the task; the loss is checked before the gradient and the gradient before
    the step, so that a bad step is never taken. Runs with the same seed, settings and version on the same device give
    the same numbers, also when interrupted and resumed.

    In the processes of a group (:mod:`graphrep.train.distributed`) the gradient and the logged loss are means over the
    processes, all take the same decisions, and the main process writes; callbacks are told in every process. What
    ``task.batches`` draws is the same in all, what ``task.loss`` draws is each process's own.

    Args:
        task: the method and its graph.
        config: how long and how fast.
        callbacks: told about steps and epochs.
        checkpoint: file for the state, written every `checkpoint_every` seconds at the end of an epoch, and when
            stopped; None saves nothing.
        checkpoint_every: seconds.
        resume: go on from `checkpoint` if it exists.
        rescue: file for the last good weights should the training diverge.
        should_stop: asked after every epoch; when true the state is saved and :class:`Interrupted` raised.
        earlier: courses of the trainings that came before this one; kept with its own.

    Returns:
        The course of the training.

    Raises:
        DivergedError: NaN or infinity in the loss or a gradient; the module holds the last good state.
        CheckpointMismatchError: the state belongs to another task.
        Interrupted: stopped on request.

    Example:
        >>> class Fit:
        ...     module = torch.nn.Linear(1, 1)
        ...     def batches(self, epoch, generator):
        ...         return [None]
        ...     def loss(self, batch, epoch, generator):
        ...         return (self.module(torch.ones(1, 1)) - 3).square().sum(), {}
        ...     def embed(self):
        ...         return self.module.weight.detach()
        ...     def fingerprint(self):
        ...         return "example"
        >>> history = train(Fit(), TrainConfig(epochs=200, lr=0.1, eval_every=0))
        >>> history.losses[-1] < 1e-3
        True
    """
    loop = _Loop(task, config, callbacks)
    loop.history.earlier = list(earlier)
    path = None if checkpoint is None else Path(checkpoint)
    with seeded(distributed.process_seed(config.seed)):
        distributed.synchronise(task.module)
        if resume and path is not None and distributed.agreed_path(path):
            loop.restore(load_state(path, config, task.fingerprint()))
        loop.run(path, checkpoint_every, None if rescue is None else Path(rescue), should_stop)
    return loop.history


class _Loop:
    """One training: the optimizer, the history, and what is kept for a saved state."""

    def __init__(self, task: Task, config: TrainConfig, callbacks: Sequence[Callback]) -> None:
        self.task, self.config, self.callbacks = task, config, callbacks
        groups = apart(_groups(task))
        self.parameters = [p for group in groups for p in group["params"]]
        make = _OPTIMIZERS[config.optimizer]
        self.optimizer = make(groups, lr=config.lr, weight_decay=config.weight_decay)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.own = self.generator  # of what a process draws for its share
        if distributed.world_size() > 1:
            self.own = torch.Generator().manual_seed(distributed.process_seed(config.seed, stream=1))
        self.history = History()
        self.plateau = Plateau(config)
        self.best: dict[str, Tensor] = {}
        self.collapsed = False

    @property
    def done(self) -> int:
        """Epochs trained so far, those before a resumption too."""
        return len(self.history.epochs)

    def restore(self, state: State) -> None:
        """Goes back to a saved state.

        Raises:
            CheckpointMismatchError: it is one of another module.
        """
        try:
            load_full_state(self.task.module, state.module)
            self.optimizer.load_state_dict(state.optimizer)
            for parameter, values in self.optimizer.state.items():
                values.update({name: laid_out_as(parameter, value) for name, value in values.items()})
        except (RuntimeError, ValueError) as error:
            raise CheckpointMismatchError(
                f"The saved state does not fit this module: {str(error).splitlines()[0]}", hint="a new run folder"
            ) from error
        torch.set_rng_state(state.random)
        self.generator.set_state(state.generator)
        self._restore_own(state.processes)
        self.history, self.best = state.history, state.best
        self.plateau.best, self.plateau.best_epoch = state.best_value, state.history.best_epoch

    def state(self) -> State:
        """What :meth:`restore` needs."""
        processes = torch.empty(0, dtype=torch.uint8)
        if distributed.world_size() > 1:
            processes = distributed.all_rows(torch.stack([torch.get_rng_state(), self.own.get_state()])[None])
        optimizer = self.optimizer.state_dict()
        optimizer["state"] = {
            index: {name: plain(value) if isinstance(value, Tensor) else value for name, value in values.items()}
            for index, values in optimizer["state"].items()
        }
        return State(
            full_state(self.task.module), optimizer, {name: plain(t) for name, t in self.best.items()},
            self.plateau.best, torch.get_rng_state(), self.generator.get_state(), self.history, processes,
        )  # fmt: skip

    def _restore_own(self, processes: Tensor) -> None:
        """The random numbers of this process; new ones where another number of processes goes on."""
        rank, world = distributed.rank(), distributed.world_size()
        if world == 1:
            return
        if len(processes) == world:
            torch.set_rng_state(processes[rank, 0].clone())  # in memory of its own, as generators want it
            self.own.set_state(processes[rank, 1].clone())
            return
        torch.manual_seed(distributed.process_seed(self.config.seed, stream=2 * self.done))
        self.own.manual_seed(distributed.process_seed(self.config.seed, stream=2 * self.done + 1))

    def run(self, path: Path | None, every: float, rescue: Path | None, should_stop: Callable[[], bool] | None) -> None:
        """All epochs that are left; the arguments are those of :func:`train`.

        Raises:
            DivergedError, Interrupted: as :func:`train` says.
        """
        config, started, before = self.config, _clock(), self.history.seconds
        saved_at = started
        for callback in self.callbacks:
            callback.start(config, self.done)
        self.history.stopped = "epochs"
        good = clone(self.task.module.state_dict())
        while self.done < config.epochs and not self._rule_says_stop(_clock() - started + before):
            epoch = self.done + 1
            try:
                log = self._epoch(epoch)
            except _Diverging as error:
                self.task.module.load_state_dict(good)
                raise self._diverged(error, epoch, rescue) from None
            self._record(log)
            state = self.task.module.state_dict()
            good = good if distributed.any_process(not is_finite(state)) else clone(state)
            now = _clock()
            self.history.seconds = before + now - started
            stop = distributed.any_process(should_stop is not None and should_stop())
            if distributed.from_main(path is not None and (stop or now - saved_at >= every)):
                held = self.state()
                if path is not None and distributed.is_main():
                    save_state(path, held, config, self.task.fingerprint())
                saved_at = _clock()
            if stop and self.done < config.epochs:
                raise Interrupted(f"stopped after epoch {epoch}")
        self.history.kept_epoch = self.done
        if config.keep == "best" and self.best:
            load_full_state(self.task.module, self.best)
            self.history.kept_epoch = self.plateau.best_epoch

    def _rule_says_stop(self, seconds: float) -> bool:
        if self.config.time_budget is not None and seconds >= self.config.time_budget:
            self.history.stopped = "time"
        elif self.done and self.plateau.reached(self.done):
            self.history.stopped = self.config.stop
        else:
            return False
        return True

    def _epoch(self, epoch: int) -> EpochLog:
        started = time.perf_counter()
        rate = self.config.rate(epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("factor", 1.0)
        self.task.module.train()
        total, steps, norm = 0.0, 0, 0.0
        parts: dict[str, float] = defaultdict(float)
        for step, batch in enumerate(self.task.batches(epoch, self.generator), start=1):
            value, norm, found = self._step(epoch, step, batch)
            total, steps = total + value, step
            for name, part in found.items():
                parts[name] += part
            for callback in self.callbacks:
                callback.step_done(epoch, step, value)
        if not steps:
            raise GraphrepError("The task has no batches.", hint="a smaller batch_size")
        means = distributed.mean_parts({name: part / steps for name, part in parts.items()})
        distributed.synchronise(self.task.module, buffers_only=True)
        signals = self._look(epoch)
        log = EpochLog(epoch, total / steps, means, rate, norm, time.perf_counter() - started, signals)
        return distributed.from_main(log)

    def _step(self, epoch: int, step: int, batch: Any) -> tuple[float, float, dict[str, float]]:
        device = self.parameters[0].device.type
        with torch.autocast(device, dtype=torch.bfloat16, enabled=self.config.precision == "bfloat16"):
            loss, parts = self.task.loss(batch, epoch, self.own)
        value = distributed.on_all(float(loss.detach()))
        if not math.isfinite(value):
            raise _Diverging("Loss", value, step, self._largest())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        distributed.average_gradients(self.parameters)
        norm = gradient_norm([p.grad for p in self.parameters if p.grad is not None])
        if not math.isfinite(norm):
            raise _Diverging("The gradient", norm, step, self._largest())
        if self.config.clip_norm is not None:
            clip(self.parameters, self.config.clip_norm, norm)
        self.optimizer.step()
        return value, norm, {name: float(part) for name, part in parts.items()}

    def _look(self, epoch: int) -> dict[str, float]:
        every = self.config.eval_every
        if not every or (epoch % every and epoch != self.config.epochs):
            return {}
        self.task.module.eval()
        with torch.no_grad():
            embedding = self.task.embed()
            if not bool(torch.isfinite(embedding).all()):
                return {}
            judged = self.task.judge() if isinstance(self.task, JudgedTask) else {}
        signals = {**look(embedding), **judged}
        supervised = getattr(self.task, "supervised", False)  # classes and links pull rows together on purpose
        if not supervised and not self.collapsed and distributed.is_main():
            self.collapsed = warn_of_collapse(signals, embedding.shape, epoch)
        return signals

    def _record(self, log: EpochLog) -> None:
        self.history.epochs.append(log)
        if self.plateau.update(log.epoch, log.loss, {**log.parts, **log.signals}):
            self.history.best_epoch = log.epoch
            if self.config.keep == "best":
                self.best = clone(self.task.module.state_dict())
        for callback in self.callbacks:
            callback.epoch_done(log)

    def _largest(self) -> str:
        """The parameter with the largest gradient of the step before, or the first with one that is not finite."""
        found, largest = "", -1.0
        for name, parameter in self.task.module.named_parameters():
            if parameter.grad is not None and parameter.grad.numel():
                size = float(plain(parameter.grad.detach()).abs().max())
                if not math.isfinite(size):
                    return name
                if size > largest:
                    found, largest = name, size
        return found

    def _diverged(self, error: _Diverging, epoch: int, rescue: Path | None) -> DivergedError:
        kept = f"the module holds the state of epoch {epoch - 1}"
        if rescue is not None:
            state = full_state(self.task.module)
            if distributed.is_main():
                write_tensors(rescue, state, {"graphrep": "graphrep weights 1", "epoch": str(epoch - 1)})
            kept = f"{rescue} (epoch {epoch - 1})"
        where = f" (largest gradient: {error.parameter})" if error.parameter else ""
        kind = "NaN" if math.isnan(error.value) else "infinite"
        return DivergedError(
            f"{error.what} became {kind} at epoch {epoch}, step {error.step}{where}. Last good state: {kept}.",
            hint=f"--set lr={self.config.lr / 10:g}, or --set temperature=0.5 "
            "(temperatures below 0.05 overflow in half precision)",
        )


def _groups(task: Task) -> list[dict[str, Any]]:
    """The trained parameters, by the factor of their learning rate."""
    wanted = [p for p in task.module.parameters() if p.requires_grad]
    if not wanted:
        raise GraphrepError("The module has no parameters to train.", hint="an encoder with weights")
    if not isinstance(task, GroupedTask):
        return [{"params": wanted}]
    groups: list[dict[str, Any]] = []
    for part, factor, *decay in task.groups():
        groups.append({"params": list(part), "factor": factor, **({"weight_decay": decay[0]} if decay else {})})
    if sorted(id(p) for group in groups for p in group["params"]) != sorted(map(id, wanted)):
        raise GraphrepError("groups() must hold every trained parameter of the module once.")
    return groups


def _clock() -> float:
    """The main process's clock, so that all processes find the same time spent."""
    return distributed.from_main(time.monotonic())


class _Diverging(Exception):  # noqa: N818 - not an error of its own: becomes a DivergedError
    def __init__(self, what: str, value: float, step: int, parameter: str) -> None:
        self.what, self.value, self.step, self.parameter = what, value, step, parameter
