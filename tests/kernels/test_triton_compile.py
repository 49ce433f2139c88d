"""Every Triton kernel compiles to machine code with no GPU: registers, spills, wide loads, no atomics."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("triton")

HERE = Path(__file__).parent
REGISTERS = 255  # what one thread can address; more are spilled to memory


def compiled(capability: int) -> list[dict[str, Any]]:
    """What the compiler reports for each kernel; a process of its own, because this one interprets kernels."""
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = os.pathsep.join([str(HERE.parents[1]), environment.get("PYTHONPATH", "")])
    command = [sys.executable, str(HERE / "triton_compiler.py"), str(capability)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    "capability", [90, pytest.param(80, marks=pytest.mark.slow), pytest.param(100, marks=pytest.mark.slow)]
)
def test_every_kernel_compiles(capability: int) -> None:
    reports = compiled(capability)
    assert reports
    problems = []
    for report in reports:
        name = report["name"]
        if "error" in report:
            problems.append(f"{name}: {report['error']}")
            continue
        if report["reg"] > REGISTERS or report["stack"] + report["local"] > report["spills"]:
            problems.append(f"{name}: {report['reg']} registers, {report['stack'] + report['local']} bytes of stack")
        if report["wide_loads"] and report["load_bits"] < 128:
            problems.append(f"{name}: loads of {report['load_bits']} bits, wanted 128")
        if report["atomics"]:
            problems.append(f"{name}: uses atomics, so its sums depend on timing")
    assert not problems, "\n".join(problems)
