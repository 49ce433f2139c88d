"""What the processes of a test do: each scenario returns plain values, in one process as well as in several."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from graphrep.errors import DivergedError, GraphrepError
from graphrep.objectives import in_batch_info_nce
from graphrep.train import Callback, Interrupted, TrainConfig, train
from graphrep.train.distributed import (
    all_rows,
    any_process,
    average_gradients,
    barrier,
    from_main,
    full_state,
    is_main,
    load_full_state,
    mean_over_all,
    on_all,
    process_group,
    process_seed,
    rank,
    shard,
    synchronise,
    touch,
    world_size,
    wrap,
)

ROWS = 16


def data(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(ROWS, 5, generator=generator, dtype=torch.float64)
    return x.to(dtype), x.sum(1).to(dtype)


def network(dtype: torch.dtype = torch.float64, dropout: float = 0.0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Sequential(nn.Linear(5, 6), nn.Dropout(dropout), nn.Tanh(), nn.Linear(6, 1)).to(dtype)


def flat(tensors: Any) -> list[float]:
    return [float(value) for t in tensors for value in t.detach().double().reshape(-1)]


def gradients(module: nn.Module) -> list[float]:
    average_gradients(module.parameters())
    return flat(p.grad for p in module.parameters())


def places(folder: Path) -> dict[str, Any]:
    pairs = torch.arange(6).reshape(2, 3)
    return {
        "seven": shard(torch.arange(7)).tolist(),
        "seven_unequal": shard(torch.arange(7), equal=False).tolist(),
        "one": shard(torch.arange(1)).tolist(),
        "none": shard(torch.arange(0)).tolist(),
        "pairs": shard(pairs, dim=1).tolist(),
        "any": [any_process(rank() == world_size() - 1), any_process(False)],
        "mean": on_all(float(rank())),
        "main": from_main({"rank": rank()}),
        "is_main": is_main(),
        "seeds": [process_seed(7), process_seed(7, stream=1)],
    }


def rows(folder: Path) -> dict[str, Any]:
    """Rows of different numbers, of several dtypes, and their gradients."""
    own = torch.arange(2.0 * rank(), dtype=torch.float64).reshape(rank(), 2).requires_grad_()
    joined = all_rows(own)
    (joined * (rank() + 1)).sum().backward()
    kinds = {str(d): all_rows(torch.ones(1, 2, dtype=d)).double().sum().item() for d in (torch.float16, torch.int64)}
    empty = all_rows(torch.empty(0, 3))
    return {"joined": joined.tolist(), "gradient": own.grad.tolist(), "kinds": kinds, "empty": list(empty.shape)}  # type: ignore[union-attr]


def mean_gradient(folder: Path) -> dict[str, Any]:
    """The mean of the shares' gradients, by hand and by torch's own wrapper."""
    x, y = data()
    module = network()
    share = shard(torch.arange(ROWS))
    (module(x[share]).squeeze(1) - y[share]).square().mean().backward()
    ours = gradients(module)
    theirs = ours
    if world_size() > 1:
        wrapped = nn.parallel.DistributedDataParallel(network())
        (wrapped(x[share]).squeeze(1) - y[share]).square().mean().backward()
        theirs = flat(p.grad for p in wrapped.parameters())
    return {"ours": ours, "theirs": theirs}


def unequal_means(folder: Path) -> dict[str, Any]:
    """Thirteen rows in the first process, three (or none) in the last; the mean is still that over all rows."""
    found = {}
    for first in (13, ROWS):
        x, y = data()
        module = network()
        own = torch.arange(ROWS) if world_size() == 1 else torch.arange(ROWS).split([first, ROWS - first])[rank()]
        loss = mean_over_all((module(x[own]).squeeze(1) - y[own]).square())
        loss.backward()  # type: ignore[no-untyped-call]
        found[str(first)] = [on_all(loss.item()), *gradients(module)]
    return found


def idle_process(folder: Path) -> dict[str, Any]:
    """The last process does not use the first layer: like a batch without live text."""
    x, y = data()
    module, found = network(), {}
    for how in ("plain", "touch"):
        module.zero_grad()
        h = module[0](x) if rank() == 0 else torch.zeros(ROWS, 6, dtype=x.dtype)  # type: ignore[index]
        loss = (module[3](h.tanh()).squeeze(1) - y).square().mean()  # type: ignore[index]
        loss = touch(loss, module) if how == "touch" else loss
        loss.backward()  # type: ignore[no-untyped-call]
        found[how] = gradients(module)
    return found


def in_batch(folder: Path) -> dict[str, Any]:
    """The other processes' targets are negatives too: their rows are gathered, with the gradient."""
    x, _ = data()
    module = nn.Linear(5, 4, dtype=x.dtype)
    with torch.no_grad():
        module.weight.copy_(torch.linspace(-1, 1, 20, dtype=x.dtype).reshape(4, 5))
        module.bias.zero_()
    known = torch.tensor([[0, 1, 2], [8, 9, 11]])
    ends = shard(torch.arange(ROWS).reshape(2, ROWS // 2), dim=1)
    found = {}
    for how in ("whole", "own rows"):
        module.zero_grad()
        u, v = (all_rows(module(x[end])) for end in ends)
        ids = [all_rows(end) for end in ends]
        if how == "whole":
            table = torch.cat([u, v])
            place = torch.arange(len(table))
            # known edges in the numbering of the gathered table
            met = [
                (i, len(u) + j)
                for i, a in enumerate(ids[0])
                for j, b in enumerate(ids[1])
                if [a, b] in known.t().tolist()
            ]
            loss = in_batch_info_nce(
                table, place[: len(u)], place[len(u) :], temperature=0.3,
                known=torch.tensor(met).t().reshape(2, -1), symmetric=True,
            )  # fmt: skip
        else:
            logits = nn.functional.normalize(u) @ nn.functional.normalize(v).t() / 0.3
            start = rank() * ends.shape[1]
            mine = torch.arange(start, start + ends.shape[1])
            loss = nn.functional.cross_entropy(logits[mine], mine)
        loss.backward()  # type: ignore[no-untyped-call]
        found[how] = [on_all(loss.item()), *gradients(module)]
    return found


class Regression:
    """A task that shares out its batches."""

    def __init__(self, module: nn.Module, *, noise: float = 0.0, poison: int | None = None) -> None:
        self.module = module
        dtype = next(module.parameters()).dtype
        self.x, self.y = data(dtype)
        self.noise, self.poison = noise, poison

    def batches(self, epoch: int, generator: torch.Generator) -> list[Tensor]:
        return [shard(part) for part in torch.randperm(ROWS, generator=generator).split(8)]

    def loss(self, batch: Tensor, epoch: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        error = self.module(self.x[batch]).squeeze(1) - self.y[batch]
        if self.noise:  # one process draws batches and noise from one generator, several do not
            error = error - self.noise * torch.randn(len(batch), generator=generator).to(self.y.dtype)
        if self.poison == epoch and rank() == world_size() - 1:
            error = error * float("nan")
        return error.square().mean(), {"absolute": error.detach().abs().mean()}

    def embed(self) -> Tensor:
        return self.module[0](self.x)  # type: ignore[index,no-any-return]

    def fingerprint(self) -> str:
        return "regression"


class Epochs(Callback):
    """Epochs that were told about."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def epoch_done(self, log: Any) -> None:
        self.seen.append(log.epoch)


CONFIG: dict[str, Any] = {"epochs": 6, "lr": 0.05, "eval_every": 2, "seed": 4, "clip_norm": 0.5, "keep": "best"}


def training(folder: Path) -> dict[str, Any]:
    """The same course as in one process, to rounding; weights that differed at the start are made equal."""
    module = network()
    with torch.no_grad():
        module[0].weight += rank()  # type: ignore[index,operator]
    task, told = Regression(module), Epochs()
    history = train(task, TrainConfig(**CONFIG), callbacks=[told])
    parts = [log.parts["absolute"] for log in history.epochs]
    return {"losses": history.losses, "parts": parts, "weights": flat(module.parameters()), "told": told.seen}


def stopping(folder: Path) -> dict[str, Any]:
    """One process asks to stop; all stop. Each goes on with its own noise and dropout."""
    path = folder / "stopping.safetensors"
    whole, parts = network(dropout=0.3), network(dropout=0.3)
    config = TrainConfig(**CONFIG)
    train(Regression(whole, noise=0.5), config)
    calls: list[int] = []

    def enough() -> bool:
        calls.append(1)
        return len(calls) >= 3 and rank() == world_size() - 1

    try:
        every = 0.0 if is_main() else 30.0  # the main process decides when to save
        train(Regression(parts, noise=0.5), config, checkpoint=path, checkpoint_every=every, should_stop=enough)
        stopped = 0
    except Interrupted:
        stopped = len(calls)
    barrier()
    again = network(dropout=0.3)
    history = train(Regression(again, noise=0.5), config, checkpoint=path, resume=True)
    held = flat(p for m in (whole, again) for p in m.parameters())
    half = len(held) // 2
    return {"stopped": stopped, "whole": held[:half], "resumed": held[half:], "epochs": len(history.epochs)}


def diverging(folder: Path) -> dict[str, Any]:
    """NaN in the last process alone: all raise, and hold the same good state."""
    module = network()
    rescue = folder / "rescue.safetensors"
    try:
        train(Regression(module, poison=3), TrainConfig(**CONFIG), rescue=rescue)
    except DivergedError as error:
        return {"error": str(error), "weights": flat(module.parameters())}
    return {"error": ""}


def plateau(folder: Path) -> dict[str, Any]:
    """The stop rule follows numbers that are the same in all processes."""
    config = TrainConfig(epochs=40, lr=0.1, stop="loss", patience=3, min_delta=0.3, eval_every=0)
    history = train(Regression(network(), noise=0.5), config)
    return {"epochs": len(history.epochs), "stopped": history.stopped}


def sharded(folder: Path) -> dict[str, Any]:
    """Parameters in parts: the same course; a saved state of whole tensors, taken up again in parts."""
    module = network(torch.float32)
    if world_size() > 1:
        wrap(module, "fsdp", layers=[module[0], module[3]])  # type: ignore[index]
    local = sum(p.to_local().numel() if hasattr(p, "to_local") else p.numel() for p in module.parameters())
    path = folder / "sharded.safetensors"
    config = TrainConfig(**CONFIG)
    calls: list[int] = []

    def enough() -> bool:
        calls.append(1)
        return len(calls) == 3

    try:
        train(Regression(module), config, checkpoint=path, should_stop=enough)
    except Interrupted:
        barrier()
    train(Regression(module), config, checkpoint=path, resume=True)
    state = full_state(module)
    other = network(torch.float32)
    load_full_state(other, state)
    return {"weights": flat(other.parameters()), "local": local, "shapes": [list(t.shape) for t in state.values()]}


def mixed(folder: Path) -> dict[str, Any]:
    """One layer in parts, the others whole: one norm, one clipping."""
    module = network(torch.float32)
    wrap(module[0], "fsdp")  # type: ignore[index]
    history = train(Regression(module), TrainConfig(**CONFIG))
    return {"weights": flat(full_state(module).values()), "norms": [log.grad_norm for log in history.epochs]}


def unshared(folder: Path) -> dict[str, Any]:
    """A checkpoint that only the main process sees."""
    path = folder / f"state-of-{rank()}.safetensors"
    if is_main():
        path.touch()
    barrier()
    try:
        train(Regression(network()), TrainConfig(**CONFIG), checkpoint=path, resume=True)
    except GraphrepError as error:
        return {"error": str(error)}
    return {"error": ""}


SCENARIOS: dict[str, Callable[[Path], dict[str, Any]]] = {
    f.__name__: f
    for f in (
        places, rows, mean_gradient, unequal_means, idle_process, in_batch, training, stopping, diverging, plateau,
        sharded, mixed, unshared,
    )
}  # fmt: skip


def main(folder: Path) -> None:
    """All scenarios in the processes of a group; each process writes what it found."""
    with process_group():
        module = network()
        with torch.no_grad():
            module[0].weight += rank()  # type: ignore[index,operator]
        synchronise(module)
        found = {"synchronised": flat(module.parameters())}
        found |= {name: run(folder) for name, run in SCENARIOS.items()}
        (folder / f"found-{rank()}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    os._exit(0)  # threads of torch were seen to abort the end of the interpreter, once, after everything was found
