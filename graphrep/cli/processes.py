"""A command that a launcher such as torchrun started in several processes: one speaks and writes, the others train."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from graphrep.cli.console import Console
from graphrep.errors import GraphrepError

__all__ = ["alone", "follow", "joined", "leave"]


class _Silent(Console):
    """Of the processes that are not the main one."""

    def __init__(self) -> None:
        super().__init__(quiet=True)

    def finish(self, payload: dict[str, Any], *, path: object = None) -> None:
        """Says nothing."""


@contextmanager
def joined(console: Console) -> Iterator[Console]:
    """Within the block the processes of a launcher are one group; the console of the main one, or one that is silent.

    Raises:
        GraphrepError, DeviceError: see :func:`graphrep.train.distributed.process_group`.
    """
    if not _several():
        yield console
        return
    from graphrep.train import distributed

    with distributed.process_group():
        if distributed.is_main():
            console.say(f"  {distributed.world_size()} processes, each with its share of every batch")
        yield console if distributed.is_main() else _Silent()


def alone(method: str | None) -> None:
    """Refuses a launcher for what runs in one process.

    Raises:
        GraphrepError: a launcher started this process as one of several.
    """
    if _several():
        raise GraphrepError(
            f"train {method or 'METHOD'} runs in one process; a launcher started {os.environ['WORLD_SIZE']}.",
            hint="without torchrun; lmgnn trains in several processes",
        )


def follow(console: Console, model: Any, data: Any, **options: Any) -> None:
    """What a process besides the main one does: the same training, its files read and none written.

    Args:
        console: of this process.
        model: the estimator.
        data: what `fit` takes.
        options: of `fit`.

    Raises:
        Stopped: the run was stopped, here or in another process.
    """
    from graphrep.cli.progress import Stopped, stop_after
    from graphrep.train import Interrupted, distributed

    with stop_after(console, "epoch", saves=True) as stop:
        try:
            model.fit(data, resume=distributed.from_main(False), should_stop=lambda: stop.wanted, **options)
        except Interrupted:
            raise Stopped from None


def leave(end: SystemExit) -> None:
    """Ends a process of a group at once, with what it had to say said, where a group was used.

    Threads of torch's process group were seen to abort the end of an interpreter whose work was done, and a launcher
    takes that for a failed run.
    """
    if not _several() or "torch" not in sys.modules:
        return
    code = end.code if isinstance(end.code, int) else int(end.code is not None)
    if isinstance(end.code, str):
        print(end.code, file=sys.stderr)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _several() -> bool:
    """Whether there are other processes; without importing torch where there are none."""
    return os.environ.get("WORLD_SIZE", "1") not in ("", "0", "1") and bool(os.environ.get("RANK"))
