"""To and from the graph objects of other libraries; each library is imported only when its function is called."""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {
    f"{way}_{library}": library
    for library in ("anndata", "dgl", "networkx", "pandas", "pyg", "scipy")
    for way in ("from", "to")
} | {
    f"interactions_{name}": "interactions" for name in ("from_pandas", "from_pyg", "from_scipy", "to_pandas", "to_pyg")
}  # fmt: skip

__all__ = sorted(_NAMES)


def __getattr__(name: str) -> Any:
    """Imports a converter on first use (PEP 562)."""
    if name in _NAMES:
        value = getattr(importlib.import_module(f"graphrep.interop.{_NAMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'graphrep.interop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
