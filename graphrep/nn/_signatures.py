"""What PyG has to know about the calls inside a layer that overrides ``forward``."""

from __future__ import annotations

from typing import Any

from torch_geometric.inspector import Inspector
from torch_geometric.nn import MessagePassing

__all__ = ["call_types"]


def call_types(layer: type[MessagePassing], method: str) -> dict[str, Any]:
    """Name -> type of the keyword arguments that `layer` calls `method` with.

    PyG reads them from the source of a layer and remembers sources by class name, so that a subclass of the same name
    has to say them itself, in ``propagate_type`` and ``edge_updater_type``.
    """
    parameters = Inspector(layer).get_params_from_method_call(method, exclude=[0, "edge_index", "size"])
    return {name: parameter.type for name, parameter in parameters.items()}
