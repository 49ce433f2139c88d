"""Run folders: config.toml, metrics.jsonl, log.txt and result.json, each complete or absent at any moment."""

from __future__ import annotations

import logging
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from graphrep.cli.console import to_json
from graphrep.cli.settings import Settings, to_toml
from graphrep.data.write import atomic_write
from graphrep.errors import FileFormatError, GraphrepError

__all__ = ["RunFolder", "command_line", "write_text"]


def write_text(path: Path, text: str) -> None:
    """Writes a file under a temporary name and moves it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as stream:
        stream.write(text.encode("utf8"))


def command_line() -> str:
    """The command of this process as a user would type it."""
    return shlex.join(["graphrep", *sys.argv[1:]])


def _refuse_other_folders(path: Path) -> None:
    """Files of an earlier run are replaced, so a folder with anything else in it must not be taken for one."""
    if path.is_dir() and not (path / "config.toml").is_file():
        others = [entry.name for entry in path.iterdir() if not entry.name.startswith(".")]
        if others:
            raise GraphrepError(f"{path} is not empty and no run folder ({others[0]}).", hint="a new folder")


class RunFolder:
    """The folder of one run.

    Args:
        path: created when missing; what an earlier run left there is replaced unless `resume`.
        resume: keep the metrics, the log and the checkpoint, and append to them.

    Raises:
        GraphrepError: the folder holds other things than a run.
    """

    def __init__(self, path: Path, settings: Settings, *, resume: bool = False) -> None:
        self.path = path
        _refuse_other_folders(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self.checkpoint = path / "checkpoint"
        if not resume:
            for name in ("result.json", "metrics.jsonl", "log.txt", "report.html"):
                (path / name).unlink(missing_ok=True)
            self.drop_checkpoint()
        write_text(path / "config.toml", to_toml(settings))
        self._handler = logging.FileHandler(path / "log.txt", encoding="utf8")
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._logger = logging.getLogger("graphrep")
        self._level = self._logger.level
        self._logger.addHandler(self._handler)
        if self._logger.getEffectiveLevel() > logging.INFO:
            self._logger.setLevel(logging.INFO)
        self._logger.info("%s", command_line())

    @staticmethod
    def require(path: Path) -> Path:
        """The config file of an existing run folder.

        Raises:
            FileFormatError: no run folder there.
        """
        config = path / "config.toml"
        if not config.is_file():
            runs = sorted(p.parent.name for p in path.parent.glob("*/config.toml")) if path.parent.is_dir() else []
            raise FileFormatError(
                f"{path} is no run folder: it has no config.toml.",
                hint=f"one of {', '.join(runs)} in {path.parent}" if runs else "--resume runs/embed-NAME",
            )
        return config

    def drop_checkpoint(self) -> None:
        """Removes the state kept for ``--resume``; a finished run has no use for it."""
        self.clear_states(self.path)

    @staticmethod
    def clear_states(path: Path) -> None:
        """Removes saved states, whole or half-written, from a run folder."""
        for pattern in ("checkpoint", ".checkpoint.*.tmp"):  # the latter: what a killed process was writing
            for leftover in path.glob(pattern):
                if leftover.is_dir():  # of a training in stages
                    shutil.rmtree(leftover, ignore_errors=True)
                else:
                    leftover.unlink(missing_ok=True)

    def log(self, text: str) -> None:
        """Appends one line to log.txt."""
        self._logger.info("%s", text)

    def metrics(self, **values: Any) -> None:
        """Appends one line to metrics.jsonl."""
        line = to_json({**values, "time": round(time.time(), 3)})
        with (self.path / "metrics.jsonl").open("a", encoding="utf8") as stream:
            stream.write(line + "\n")

    def result(self, values: dict[str, Any]) -> None:
        """Writes result.json."""
        write_text(self.path / "result.json", to_json(values, indent=2) + "\n")

    def close(self) -> None:
        """Lets go of the log file."""
        self._logger.removeHandler(self._handler)
        self._logger.setLevel(self._level)
        self._handler.close()
