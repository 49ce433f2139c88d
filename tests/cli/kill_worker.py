"""Runs `graphrep embed` in forked children, kills them at given moments, and resumes: the helper of test_cli_kill.
Also stops one with Ctrl-C.

A fork of a process that has everything imported starts in milliseconds, so that the moments fall into the run and not
into the import of torch. Prints one JSON line for Ctrl-C
and one per moment.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import torch

torch.set_num_threads(1)  # no parallel region before the forks

from graphrep.cli.main import app  # noqa: E402


def child(arguments: list[str], errors: str = os.devnull) -> int:
    """Starts the command in a forked child and returns its process id; stderr goes to the file `errors`."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        with contextlib.redirect_stdout(open(os.devnull, "w")), contextlib.redirect_stderr(open(errors, "w")):
            code = app(arguments, standalone_mode=False) or 0
            sys.stderr.flush()
    finally:
        os._exit(code)


def finish(arguments: list[str]) -> float:
    """Runs the command to its end; returns the seconds."""
    started = time.perf_counter()
    _, status = os.waitpid(child(arguments), 0)
    assert status == 0, (arguments, status)
    return time.perf_counter() - started


def main(moments: int, seed: int) -> None:
    options = ["--dim", "128", "--weights", "0,1,1,1,2", "--checkpoint", "0"]
    embed = ["embed", "edges.csv", *options]
    # Once in this process, on one thread: children then find every module imported and every loop compiled.
    with contextlib.redirect_stdout(sys.stderr), contextlib.suppress(SystemExit):
        app([*embed, "-o", "reference.npz", "--run-dir", "runs/reference"])
    seconds = finish([*embed, "-o", "reference.npz", "--run-dir", "runs/reference"])
    reference = Path("reference.npz").read_bytes()
    interrupted()
    generator = torch.Generator().manual_seed(seed)
    for number in range(moments):
        after = float(torch.rand(1, generator=generator)) * seconds
        out, home = Path(f"out{number}.npz"), Path(f"runs/{number}")
        start = [*embed, "-o", str(out), "--run-dir", str(home)]
        pid = child(start)
        time.sleep(after)
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        said = {"after": after, "killed": os.WIFSIGNALED(status), "present": out.exists()}
        said["whole"] = out.exists() and out.read_bytes() == reference
        said["state"] = (home / "checkpoint").exists()
        started = (home / "config.toml").exists()
        finish(["embed", "--resume", str(home)] if started else start)
        said |= {"started": started, "finished": out.read_bytes() == reference, "left": left_over(out, home)}
        print(json.dumps(said), flush=True)


def interrupted() -> None:
    """Ctrl-C once a state is saved, then ``--resume``; one JSON line."""
    home, out = Path("runs/ctrl-c"), Path("ctrl-c.npz")
    options = ["--dim", "256", "--weights", ",".join(["1"] * 40), "--checkpoint", "0", "--run-dir", str(home)]
    pid = child(["embed", "edges.csv", *options, "-o", str(out)], errors="ctrl-c.err")
    deadline = time.monotonic() + 60
    while not (home / "checkpoint").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(pid, signal.SIGINT)
    _, status = os.waitpid(pid, 0)
    present, powers = out.exists(), metrics(home)
    finish(["embed", "--resume", str(home)])
    said = {"code": os.waitstatus_to_exitcode(status), "error": Path("ctrl-c.err").read_text(), "present": present}
    print(json.dumps({**said, "powers": powers, "after": metrics(home), "left": left_over(out, home)}), flush=True)


def metrics(home: Path) -> list[int]:
    """The powers in metrics.jsonl, in their order."""
    return [json.loads(line)["power"] for line in (home / "metrics.jsonl").read_text().splitlines()]


def left_over(out: Path, home: Path) -> list[str]:
    """Temporary files and states that a finished run should have cleared away."""
    return [p.name for p in [*home.glob("*checkpoint*"), *home.glob(".*.tmp"), *Path().glob(f".{out.name}*")]]


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
