"""The public functions and classes of installed packages, each under its shortest public path.

Packages are imported, as their users would import them, and then only looked at: no attribute is computed, nothing is
called. Test modules, command-line programs and everything private are neither imported nor listed.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import pkgutil
import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any, NamedTuple

__all__ = ["Documented", "documented"]

_log = logging.getLogger(__name__)
_LEFT_OUT = re.compile(
    r"_|test|conftest$|estimator_checks$|setup$|distutils$|f2py$|externals$|experimental$|core$|doc$|matlib$|cython_"
)
"""Modules that are not walked: private, for tests, for building, deprecated, or with an effect when imported."""


class Documented(NamedTuple):
    """A public function or class.

    Attributes:
        path: its shortest public path (``numpy.linalg.svd``); among equally deep ones the shortest, then the first.
        paths: every public path that leads to it, `path` included.
        module: where it is defined, as it says itself; may be private, may be empty.
        doc: its docstring.
    """

    path: str
    paths: tuple[str, ...]
    module: str
    doc: str


def documented(packages: Iterable[str]) -> list[Documented]:
    """The documented public functions and classes of `packages`, sorted by path.

    A package that is not installed, and a module that cannot be imported, are left out.

    Example:
        >>> [entry.path for entry in documented(["json"])][:3]
        ['json.JSONDecodeError', 'json.JSONDecoder', 'json.JSONEncoder']
    """
    entries: list[Documented] = []
    for package in packages:
        objects: dict[int, tuple[Any, list[str]]] = {}
        for module in _modules(package):
            for name, value in _members(module, package):
                objects.setdefault(id(value), (value, []))[1].append(f"{module.__name__}.{name}")
        for value, paths in objects.values():
            unique = sorted(set(paths), key=lambda path: (path.count("."), len(path), path))
            module_name, doc = _text(value, "__module__"), _text(value, "__doc__")
            entries.append(Documented(unique[0], tuple(unique), module_name, doc))
    return sorted(entries)


def _modules(package: str) -> Iterator[ModuleType]:
    """A package and its public submodules, parents first, in order of name."""
    module = _import(package)
    if module is None:
        return
    yield module
    for name in sorted(info.name for info in pkgutil.iter_modules(getattr(module, "__path__", ()))):
        if not _LEFT_OUT.match(name):
            yield from _modules(f"{package}.{name}")


def _import(name: str) -> ModuleType | None:
    """A module, or None when importing it fails for whatever reason; its warnings and its output are dropped."""
    if name in sys.modules:
        return sys.modules[name]
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        _log.debug("%s is left out: %s", name, error)
        return None


def _members(module: ModuleType, package: str) -> Iterator[tuple[str, Any]]:
    """Documented functions and classes of ``__all__``, or else those that are defined in the module or below it."""
    listed = vars(module).get("__all__")
    names = vars(module) if listed is None else listed
    for name in sorted(str(name) for name in names):
        value = vars(module).get(name)
        if name.startswith("_") or not callable(value) or not _text(value, "__name__"):
            continue
        home = _text(value, "__module__")
        own = (
            f"{home}.".startswith(f"{module.__name__}.") if listed is None else home.partition(".")[0] in ("", package)
        )
        if own and _text(value, "__doc__").strip():
            yield name, value


def _text(value: Any, attribute: str) -> str:
    """An attribute that should be text; objects with attributes of their own making give an empty string."""
    try:
        found = getattr(value, attribute, None)
    except Exception:
        return ""
    return found if isinstance(found, str) else ""
