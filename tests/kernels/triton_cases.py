"""The Triton kernels of the package, collected from its modules, and where they run in the tests.

With a CUDA device they run there; else in Triton's interpreter on CPU tensors (tests/conftest.py asks for it).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import torch

import graphrep.kernels
from graphrep.kernels._triton import CompileCase

__all__ = ["BACKEND", "DEVICE", "compile_cases", "cuda_modules", "kernels"]

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
BACKEND = "auto" if DEVICE.type == "cuda" else "cuda"  # of GRAPHREP_BACKEND: what runs the kernels on tensors of DEVICE


def cuda_modules() -> Iterator[ModuleType]:
    """Every module of graphrep.kernels with Triton kernels: they are named ``cuda`` or ``..._cuda``."""
    for found in pkgutil.walk_packages(graphrep.kernels.__path__, "graphrep.kernels."):
        if found.name.endswith("cuda"):
            yield importlib.import_module(found.name)


def compile_cases() -> list[tuple[str, CompileCase]]:
    """(name, case) of every variant that the modules list; plain tuples are accepted too."""
    cases = []
    for module in cuda_modules():
        for number, case in enumerate(getattr(module, "compile_cases", list)()):
            full = CompileCase(*case)
            place = module.__name__.removeprefix("graphrep.kernels.")
            cases.append((f"{place}:{full.kernel.__name__}:{number}", full))
    return cases


def kernels() -> dict[str, Any]:
    """Name -> every kernel that is launched, which are those that return nothing; others are called by these."""
    return {
        f"{module.__name__}:{name}": value
        for module in cuda_modules()
        for name, value in vars(module).items()
        if hasattr(value, "arg_names") and value.fn.__annotations__.get("return") == "None"
    }
