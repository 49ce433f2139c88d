"""Runs a script in several processes of one group, as a launcher does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import graphrep

_LIMIT = 300.0  # seconds


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def run_in_processes(script: Path, folder: Path, *arguments: str, count: int = 2) -> None:
    """Runs a script in `count` processes; each must succeed, and when one fails the others are ended."""
    shared = {
        **os.environ, "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()),
        "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "PYTHONPATH": str(Path(graphrep.__file__).parent.parent),
    }  # fmt: skip
    with tempfile.TemporaryFile("w+") as said:
        running = [
            subprocess.Popen(
                [sys.executable, str(script), str(folder), *arguments],
                env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdout=said,
                stderr=said,
            )
            for rank in range(count)
        ]
        try:
            until = time.monotonic() + _LIMIT
            while any(p.poll() is None for p in running) and not any(p.poll() for p in running):
                assert time.monotonic() < until, "the processes wait for each other"
                time.sleep(0.1)
        finally:
            for process in running:
                process.kill()
                process.wait()
            said.seek(0)
            text = said.read()
    assert [p.returncode for p in running] == [0] * count, text
