"""Writing files so that a reader never sees half of one: a temporary file in the same folder, then a rename."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from graphrep.errors import GraphrepError

__all__ = ["atomic_write"]

_serial = itertools.count()
_FLUSH_BYTES, _FLUSH_SECONDS = 64 << 20, 0.02  # a flush begins when so much is new, looked for so often


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Opens a binary file that appears under `path` only when the block ends without an error.

    The bytes go to ``.NAME.HOST.PID-N.tmp`` beside the target, are flushed to disk, and replace the target in one step;
    after an error the temporary file is removed and an earlier file of that name is untouched. A temporary file that a
    killed process left for the same target is removed first. Devices and pipes are written directly.

    Raises:
        GraphrepError: no such folder, no permission, or no space left.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "a.bin"
        >>> with atomic_write(target) as file:
        ...     _ = file.write(b"all or nothing")
        >>> target.read_bytes()
        b'all or nothing'
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise GraphrepError(f"{path} is a folder; a file name is needed.", hint=f"{target / 'embeddings.npz'}")
    if target.exists() and not target.is_file():
        with target.open("wb") as file:
            yield file
        return
    part = target.with_name(f".{target.name}.{socket.gethostname()}.{os.getpid()}-{next(_serial)}.tmp")
    try:
        _remove_leftovers(target)
        with part.open("wb") as file:
            with _early_flush(file.fileno()):
                yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)
        _sync_folder(target.parent)
    except OSError as error:
        if error.filename not in (None, str(part), str(target), str(target.parent)):
            raise  # about a file that the caller reads
        raise _explain(error, target) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


@contextlib.contextmanager
def _early_flush(descriptor: int) -> Iterator[None]:
    """Sends what is written to the disk meanwhile, so that the last flush has little left to wait for.

    An error of the disk is told only once per file, so one that shows up here is raised here.
    """
    stop = threading.Event()
    errors: list[OSError] = []

    def flush() -> None:
        done = 0
        while not stop.wait(_FLUSH_SECONDS):
            size = os.fstat(descriptor).st_size
            if size - done >= _FLUSH_BYTES:
                try:
                    os.fsync(descriptor)
                except OSError as error:
                    errors.append(error)
                    return
                done = size

    thread = threading.Thread(target=flush, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if errors:
        raise errors[0]


def _explain(error: OSError, target: Path) -> GraphrepError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return GraphrepError(
            f"No space left while writing {target}; nothing was written.",
            hint=f"free some space in {target.parent}, or write elsewhere with --out",
        )
    if isinstance(error, FileNotFoundError):
        return GraphrepError(f"There is no folder {target.parent}.", hint=f"mkdir -p {target.parent}")
    if isinstance(error, PermissionError):
        return GraphrepError(f"No permission to write in {target.parent}.", hint="another folder with --out")
    return GraphrepError(f"Writing {target} failed: {error.strerror or error}.", hint="another place with --out")


def _remove_leftovers(target: Path) -> None:
    """Removes temporary files of this target whose process, on this machine, no longer runs."""
    start, end = f".{target.name}.{socket.gethostname()}.", ".tmp"
    for entry in os.scandir(target.parent):
        if entry.name.startswith(start) and entry.name.endswith(end):
            pid = entry.name[len(start) : -len(end)].partition("-")[0]
            if pid.isdigit() and not _is_running(int(pid)):
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)


def _is_running(pid: int) -> bool:
    if os.name == "nt":  # signal 0 would end the process there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _sync_folder(folder: Path) -> None:
    """Makes the rename itself durable; some systems cannot open a folder, which is no reason to fail."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
