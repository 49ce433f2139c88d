"""Fitted FastRP models on disk: ``model.toml`` (parameters) and ``model.safetensors`` (vectors, ids, graph)."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from graphrep.data._parts import sparse_features
from graphrep.data._tensor_files import pack_ids, read_tensors, unpack_ids, write_tensors
from graphrep.data.write import atomic_write
from graphrep.errors import FileFormatError, UnknownNameError
from graphrep.kernels import CSR
from graphrep.methods._fastrp_settings import resolve

if TYPE_CHECKING:
    from graphrep.methods.fastrp import FastRP

__all__ = ["load_fitted", "save_fitted"]

_FORMAT = "graphrep fastrp 1"


def save_fitted(model: FastRP, path: str | os.PathLike[str], *, graph: bool) -> None:
    """Writes the two files into folder `path`."""
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {"embedding": model.embedding_, **pack_ids(model.ids_)}
    for name in ("_moments", "_feature_scale"):
        pair = model.__dict__.get(name)
        if pair is not None:
            mean, std = pair if isinstance(pair, tuple) else (pair.mean, pair.std)
            tensors |= {f"{name[1:]}.mean": mean, f"{name[1:]}.std": std}
    for k, power in enumerate(model.__dict__.get("_powers") or [], start=1):
        tensors[f"power.{k}"] = power
    if model.__dict__.get("_init") is not None:
        tensors["init"] = torch.as_tensor(model._init)
    if graph:
        tensors |= _graph_tensors(model._source)
    write_tensors(folder / "model.safetensors", tensors, {"graphrep": _FORMAT, "density": repr(model._density)})
    with atomic_write(folder / "model.toml") as file:
        file.write(_toml(model.get_params()).encode())


def _graph_tensors(source: Any) -> dict[str, Tensor]:
    if isinstance(source, CSR):
        parts = {"csr.rowptr": source.rowptr, "csr.col": source.col, "csr.value": source.value}
        return {name: tensor for name, tensor in parts.items() if tensor is not None}
    found: dict[str, Tensor] = {"graph.edge_index": _small(source.edge_index, source.num_nodes)}
    if source.edge_weight is not None:
        found["graph.edge_weight"] = source.edge_weight
    if source.x is not None and source.x.layout is torch.strided:
        found["graph.x"] = source.x
    elif source.x is not None:
        x = source.x
        found |= {"graph.x.indptr": x.crow_indices(), "graph.x.indices": x.col_indices(), "graph.x.data": x.values()}
        found["graph.x.shape"] = torch.tensor(x.shape)
    return found


def _small(index: Tensor, num_nodes: int) -> Tensor:
    return index.int() if num_nodes < 2**31 else index


def load_fitted(cls: type[FastRP], path: str | os.PathLike[str]) -> FastRP:
    """The model saved in folder `path`."""
    folder = Path(path)
    tensors, numbers = read_tensors(folder / "model.safetensors")
    if numbers.get("graphrep") != _FORMAT:
        raise FileFormatError(f"{folder} does not hold a saved FastRP model.", hint="model.save(path)")
    try:
        params = tomllib.loads((folder / "model.toml").read_text())["params"]
    except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
        raise FileFormatError(f"{folder / 'model.toml'} cannot be read: {error}.", hint="model.save(path)") from error
    known = cls._parameters()
    for name in params:
        if name not in known:
            raise UnknownNameError(f'{folder / "model.toml"} has the unknown parameter "{name}".')
    model = cls(**{**params, "weights": tuple(params["weights"])})
    return _restore(model, tensors, float(numbers["density"]))


def _restore(model: FastRP, tensors: dict[str, Tensor], density: float) -> FastRP:
    from graphrep.methods._fastrp_start import FeatureScale

    model.embedding_, model.ids_ = tensors["embedding"], unpack_ids(tensors)
    model._density, model._init = density, tensors.get("init")
    model._moments = (tensors["moments.mean"], tensors["moments.std"]) if "moments.mean" in tensors else None
    scale = "feature_scale.mean" in tensors
    model._feature_scale = FeatureScale(tensors["feature_scale.mean"], tensors["feature_scale.std"]) if scale else None
    count = sum(name.startswith("power.") for name in tensors)
    model._powers = [tensors[f"power.{k}"] for k in range(1, count + 1)] if model.keep_powers else None
    model._source = _graph_from(tensors, model)
    model._cached_problem = None
    model._settings = resolve(model.get_params())
    return model


def _graph_from(tensors: dict[str, Tensor], model: FastRP) -> Any:
    if "csr.rowptr" in tensors:
        rows = tensors["csr.rowptr"].numel() - 1
        return CSR(tensors["csr.rowptr"], tensors["csr.col"], tensors.get("csr.value"), num_cols=rows)
    if "graph.edge_index" not in tensors:
        return None
    from graphrep.data.graph import Graph

    x = tensors.get("graph.x")
    if "graph.x.indptr" in tensors:
        size = tuple(tensors["graph.x.shape"].tolist())
        parts = (tensors["graph.x.indptr"], tensors["graph.x.indices"], tensors["graph.x.data"])
        x = sparse_features(*parts, size)
    return Graph(
        tensors["graph.edge_index"],
        tensors.get("graph.edge_weight"),
        x,
        num_nodes=model.embedding_.shape[0],
        ids=model.ids_,
    )


def _toml(params: dict[str, Any]) -> str:
    """Parameters that are not None as a TOML table; dtypes by name."""
    lines = ["[params]"]
    for name, value in params.items():
        if isinstance(value, torch.dtype):
            value = str(value).removeprefix("torch.")
        if value is None:
            continue
        if isinstance(value, (bool, str)):
            lines.append(f"{name} = {json.dumps(value)}")
        elif isinstance(value, (int, float)):
            lines.append(f"{name} = {value!r}")
        else:
            lines.append(f"{name} = [{', '.join(repr(float(v)) for v in value)}]")
    return "\n".join(lines) + "\n"
