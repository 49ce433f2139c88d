"""What importing the package and asking for help may cost."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

HEAVY = ("torch", "torch_geometric", "numba", "sklearn", "networkx", "scipy", "pandas", "matplotlib", "dgl")


def child_cpu_seconds(*command: str) -> float:
    """CPU seconds (user + system) of one child process that must succeed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def loaded_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(' '.join(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_import_graphrep_loads_nothing_heavy() -> None:
    assert loaded_after("import graphrep") == set()


def test_listing_names_loads_nothing_heavy() -> None:
    assert loaded_after("import graphrep.registry; assert graphrep.registry.METHODS") == set()


def test_errors_load_nothing_heavy() -> None:
    assert loaded_after("import graphrep.errors") == set()


def test_the_command_line_starts_without_torch() -> None:
    assert loaded_after("import graphrep.cli.main") == set()


def test_import_graphrep_is_cheap() -> None:
    bare = min(child_cpu_seconds(sys.executable, "-c", "pass") for _ in range(3))
    ours = min(child_cpu_seconds(sys.executable, "-c", "import graphrep") for _ in range(3))
    assert ours - bare < 0.1


def test_help_is_cheap() -> None:
    """The least of five runs, because a busy machine inflates CPU time and never deflates it."""
    program = Path(sys.executable).with_name("graphrep")
    assert min(child_cpu_seconds(str(program), "--help") for _ in range(5)) < 0.3
