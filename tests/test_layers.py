"""Imports go one way: kernels -> nn -> objectives -> eval -> train -> methods -> cli, and only to the left."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import graphrep

PACKAGE = Path(graphrep.__file__).parent
BASE = {"errors", "typing", "registry"}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "typing": set(),
    "registry": {"errors"},
    "kernels": BASE,
    "interop": BASE | {"kernels", "data"},
    "data": BASE | {"kernels", "interop"},
    "nn": BASE | {"kernels", "data"},
    "objectives": BASE | {"kernels"},
    "eval": BASE | {"kernels", "data"},
    "train": BASE | {"data", "eval"},
    "methods": BASE | {"kernels", "data", "nn", "objectives", "eval", "train"},
    "recipes": BASE,
    "tuning": BASE | {"kernels", "data", "methods", "train", "eval"},
}
# Within `data`, only these modules may reach for the converters.
INTEROP_USERS = {"data/read.py", "data/graph.py", "data/datasets.py", "data/coerce.py", "data/__init__.py"}


def layer(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_layers(path: Path) -> set[str]:
    """Layers of graphrep that a file imports anywhere, imports inside functions included."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names += [
                f"{node.module}.{alias.name}" if node.module == "graphrep" else str(node.module) for alias in node.names
            ]
    return {name.split(".")[1] for name in names if name.startswith("graphrep.")} - {"__version__"}


FILES = sorted(p for p in PACKAGE.rglob("*.py") if layer(p) not in ("__init__", "__main__", "cli"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_only_lower_layers(path: Path) -> None:
    own = layer(path)
    foreign = imported_layers(path) - {own}
    assert foreign <= ALLOWED[own], f"{own} must not import {sorted(foreign - ALLOWED[own])}"


@pytest.mark.parametrize("path", [p for p in FILES if layer(p) == "data"], ids=lambda p: p.name)
def test_only_entry_points_of_data_use_converters(path: Path) -> None:
    if "interop" in imported_layers(path):
        assert str(path.relative_to(PACKAGE)) in INTEROP_USERS


def test_the_check_sees_a_wrong_import(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("def f():\n    from graphrep.methods import FastRP\n    return FastRP\n")
    assert imported_layers(wrong) == {"methods"}
