"""PyG's ``.pt`` files: one ``Data``, opened without running anything that the file asks for."""

from __future__ import annotations

import zipfile
from pathlib import Path
from pickletools import genops
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from graphrep.data._bytes import require_file
from graphrep.data._finish import Cleaning, finish
from graphrep.data.graph import Graph
from graphrep.errors import DTypeError, FileFormatError, GraphrepError
from graphrep.interop.pyg import from_pyg, to_pyg

__all__ = ["read_pt", "write_pt"]

_JUDGED_BY_TORCH = ("torch", "collections", "_codecs", "builtins", "__builtin__")


def read_pt(path: Path, *, weight: str | bool | int | None = None, **cleaning: Any) -> Graph:
    """Reads one graph that ``torch.save`` wrote: a ``Data``, its dictionary, or the ``data.pt`` of a PyG data set.

    The file is opened with ``weights_only=True`` and, besides tensors and plain values, may hold PyG's ``Data`` and its
    stores alone. :func:`graphrep.read` has the arguments; `weight` names an attribute, False leaves weights out.

    Raises:
        FileFormatError: not such a file, one that asks for other objects, or one with several graphs.
        DTypeError: a ``HeteroData``.
    """
    data = _as_data(path.name, _load(path))
    try:
        graph = _converted(path.name, data, weight)
    except GraphrepError:
        raise
    except Exception as error:  # the state inside a Data may be anything
        raise FileFormatError(
            f"{path.name} holds a PyG object that is no graph: {error}.",
            hint="torch.save(data, path) with a valid Data",
        ) from error
    parts = {key: getattr(graph, key) for key in ("x", "y", "ids", "train_idx", "val_idx", "test_idx")}
    names = getattr(data, "feature_names", None)
    stated = getattr(data, "directed", None)
    return finish(
        path.name, "PyG data", graph.edge_index, graph.edge_weight, graph.num_nodes, Cleaning(**cleaning),
        stated=stated if isinstance(stated, bool) else None, warn_one_way=True,
        weight_name=weight if isinstance(weight, str) else "edge_weight",
        name=graph.name if isinstance(graph.name, str) else path.name.split(".")[0],
        feature_names=names if isinstance(names, list) else None, **parts,
    )  # fmt: skip


def _converted(source: str, data: Any, weight: str | bool | int | None) -> Graph:
    if isinstance(weight, str):
        if not isinstance(getattr(data, weight, None), Tensor):
            raise FileFormatError(
                f"{source} has no tensor {weight}.", hint=f"one of {', '.join(map(str, data.keys()))}"
            )
        return from_pyg(data).replace(edge_weight=data[weight])
    graph = from_pyg(data)
    return graph.replace(edge_weight=None) if weight is False else graph


def _load(path: Path) -> Any:
    """What the file holds; sizes are checked first, so that a false one costs no memory."""
    require_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            packed = [m for m in archive.infolist() if m.compress_type != zipfile.ZIP_STORED]
            too_large = sum(m.file_size for m in archive.infolist()) > path.stat().st_size
    except Exception as error:  # a damaged directory may fail anywhere inside zipfile
        raise FileFormatError(
            f"{path} is not a file that torch.save writes since version 1.6: {error}.",
            hint="load it where you trust it, and torch.save it again",
        ) from error
    if packed or too_large:
        raise FileFormatError(f"{path} has members of impossible sizes.", hint="torch.save never packs; copy it again")
    wanted = _asked_for(path)
    known = {f"{c.__module__} {c.__name__}": c for c in _data_classes()}
    foreign = next((w for w in wanted if w not in known and w.split(".")[0].split()[0] not in _JUDGED_BY_TORCH), None)
    if foreign is not None:
        raise FileFormatError(
            f"{path} asks for {foreign.replace(' ', '.')}, which graphrep does not load: a pickle can run any code.",
            hint="where you trust it, load it with torch and save a plain Data(x=..., edge_index=..., y=...)",
        )
    missing = [c for c in known.values() if c not in torch.serialization.get_safe_globals()]
    try:
        # safe_globals takes out again all that it was given, so it gets only what is missing; indices of sparse tensors
        # are not looked at unless that is asked for
        checked = torch.sparse.check_sparse_tensor_invariants(True)  # type: ignore[no-untyped-call]
        with torch.serialization.safe_globals(missing), checked:
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or foreign pickle may fail anywhere inside torch
        raise _unreadable(path, error) from error


def _data_classes() -> tuple[Any, ...]:
    """``Data``, ``HeteroData`` and what a pickle of them refers to; none of these does anything when it is made."""
    from torch_geometric.data import Data, HeteroData, data, feature_store, graph_store, storage

    parts = [data.DataTensorAttr, data.DataEdgeAttr, feature_store.TensorAttr, graph_store.EdgeAttr]
    stores = [storage.BaseStorage, storage.GlobalStorage, storage.NodeStorage, storage.EdgeStorage]
    return (Data, HeteroData, *parts, *stores)


def _asked_for(path: Path) -> set[str]:
    """Every ``module name`` that the pickle inside asks for; it is looked through, not run."""
    try:
        with zipfile.ZipFile(path) as archive:
            inside = next(name for name in archive.namelist() if name.endswith("data.pkl"))
            found: set[str] = set()
            for code, argument, _ in genops(archive.read(inside)):
                if code.name == "GLOBAL":
                    found.add(str(argument))
                elif code.name in ("STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"):
                    found.add(f"{code.name} something")
            return found
    except Exception as error:  # a damaged pickle may fail anywhere
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> FileFormatError:
    text = str(error) or type(error).__name__
    last = text.partition("WeightsUnpickler error: ")[2] or text
    return FileFormatError(
        f"{path} is not a readable .pt file: {last.strip().splitlines()[0][:200]}.",
        hint="it may be cut off (copy it again), or hold more than tensors and plain values",
    )


def _as_data(source: str, found: Any) -> Any:
    """The ``Data`` in what was loaded."""
    from torch_geometric.data import Data, HeteroData

    if isinstance(found, tuple) and len(found) in (2, 3):  # (state, slices[, class]) of a data set's processed file
        found, slices = found[:2]
        if isinstance(slices, dict) and any(len(v) > 2 for v in slices.values() if hasattr(v, "__len__")):
            raise FileFormatError(
                f"{source} holds several graphs.", hint="torch.save(dataset[i], FILE) for one of them"
            )
    if isinstance(found, HeteroData) or (isinstance(found, dict) and "_global_store" in found):
        raise DTypeError(f"{source} holds a HeteroData with several node types.", hint="data.to_homogeneous()")
    if isinstance(found, dict) and all(isinstance(key, str) for key in found) and "edge_index" in found:
        found = Data.from_dict(found)
    if not isinstance(found, Data):
        raise FileFormatError(
            f"{source} holds a {type(found).__name__}, not a graph.", hint="torch.save(data, FILE) with a PyG Data"
        )
    return found


def write_pt(graph: Graph, file: IO[bytes]) -> None:
    """Writes the dictionary of a PyG ``Data``: edges, weights, x, y, masks, ids (text as a list), names, direction.

    ``Data.from_dict(torch.load(path))`` opens it; a ``Data`` itself would not load with ``weights_only=True``.
    """
    data = to_pyg(graph)
    if isinstance(graph.ids, np.ndarray):
        data.ids = graph.ids.tolist()
    if graph.feature_names is not None:
        data.feature_names = list(graph.feature_names)
    data.directed = not graph.is_undirected()
    for key in list(data.keys()):
        value = data[key]
        if isinstance(value, Tensor):
            data[key] = value.detach().clone()  # a view would write all that it is a view of
    torch.save(data.to_dict(), file)
