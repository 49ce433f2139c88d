"""The public interface changes only on purpose: names and signatures against a committed snapshot.

After a deliberate change: python tests/test_public_api.py
"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import graphrep

SNAPSHOT = Path(__file__).parent / "golden" / "public_api.txt"
MODULES = (
    "graphrep",
    "graphrep.data",
    "graphrep.eval",
    "graphrep.interop",
    "graphrep.kernels",
    "graphrep.methods",
    "graphrep.nn",
    "graphrep.objectives",
)


def described(name: str, value: object) -> str:
    """One line: the dotted name, with the signature of what can be called."""
    if not callable(value):
        return name
    try:
        signature = inspect.signature(value)
    except ValueError:
        return name
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    return f"{name}{signature.replace(parameters=bare, return_annotation=inspect.Signature.empty)}"


def public_interface() -> list[str]:
    lines = []
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        lines += [described(f"{module_name}.{name}", getattr(module, name)) for name in sorted(module.__all__)]
    return lines


def test_public_interface_is_as_recorded() -> None:
    recorded = SNAPSHOT.read_text().splitlines()
    current = public_interface()
    gone, new = sorted(set(recorded) - set(current)), sorted(set(current) - set(recorded))
    assert not gone, f"gone or changed: {gone}; new: {new}"
    assert not new, f"new: {new} (python tests/test_public_api.py records them)"


def test_the_contract_names_are_there() -> None:
    kernels = "CSR spmm segment_reduce scatter sddmm edge_softmax gcn_norm GDSRandom backend"
    evaluation = "linear_probe cluster_scores link_scores summarize compare kmeans multilabel_scores"
    assert set(kernels.split()) <= set(graphrep.kernels.__all__)
    assert set(evaluation.split()) <= set(graphrep.eval.__all__)


if __name__ == "__main__":
    SNAPSHOT.write_text("\n".join(public_interface()) + "\n")
