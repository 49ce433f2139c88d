"""Rules of the code base that a linter cannot state: file sizes, `__all__`, no unpickling, public names resolve."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import graphrep

PACKAGE = Path(graphrep.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
names = pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))


@names
def test_file_is_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


@names
def test_file_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


@names
def test_nothing_is_unpickled(path: Path) -> None:
    text = path.read_text()
    assert "allow_pickle=True" not in text
    assert "weights_only=False" not in text
    assert "import pickle" not in text


@names
def test_no_prints_in_the_library(path: Path) -> None:
    if path.relative_to(PACKAGE).parts[0] == "cli":
        return
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    assert not [c.lineno for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"]


@pytest.mark.parametrize("name", graphrep.__all__)
def test_public_names_resolve(name: str) -> None:
    assert getattr(graphrep, name) is not None


@pytest.mark.parametrize(
    "module",
    ["data", "errors", "eval", "interop", "kernels", "methods", "nn", "objectives", "registry", "typing"],
)
def test_dunder_all_is_true(module: str) -> None:
    loaded = importlib.import_module(f"graphrep.{module}")
    for name in loaded.__all__:
        assert hasattr(loaded, name), f"graphrep.{module}.__all__ names {name}, which does not exist"


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        graphrep.no_such_name  # noqa: B018
