"""The README is true: its Python blocks run as printed and its commands exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
TEXT = README.read_text()
PYTHON_BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
SHELL = re.sub(r"```python\n.*?```", "", TEXT, flags=re.DOTALL)
COMMANDS = sorted(set(re.findall(r"[`$] ?graphrep ([a-z]+)\b", SHELL)))


@pytest.mark.parametrize("number", range(len(PYTHON_BLOCKS)))
def test_python_block_runs(number: int, tmp_path: Path) -> None:
    script = tmp_path / "block.py"
    script.write_text(PYTHON_BLOCKS[number])
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_command_exists(command: str) -> None:
    program = Path(sys.executable).with_name("graphrep")
    done = subprocess.run([str(program), command, "--help"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_there_is_something_to_check() -> None:
    assert PYTHON_BLOCKS
    assert "embed" in COMMANDS


def test_the_first_page_stays_short() -> None:
    assert len(TEXT.splitlines()) < 150
