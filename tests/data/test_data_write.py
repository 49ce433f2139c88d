"""Atomic writes: an error of the disk that shows up while the file is being written is not lost."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from graphrep.data import write
from graphrep.errors import GraphrepError


@pytest.fixture
def _eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "_FLUSH_BYTES", 1)
    monkeypatch.setattr(write, "_FLUSH_SECONDS", 0.001)


@pytest.mark.usefixtures("_eager")
def test_an_early_flush_that_fails_fails_the_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def full_once(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_once)
    target = tmp_path / "vectors.bin"
    with pytest.raises(GraphrepError, match="No space left while writing"), write.atomic_write(target) as file:  # noqa: PT012
        file.write(b"x" * 100)
        file.flush()
        while not calls:
            time.sleep(0.001)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("_eager")
def test_a_file_flushed_early_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "vectors.bin"
    with write.atomic_write(target) as file:
        for _ in range(20):
            file.write(b"y" * 1000)
            file.flush()
            time.sleep(0.001)
    assert target.read_bytes() == b"y" * 20_000
    assert list(tmp_path.iterdir()) == [target]
