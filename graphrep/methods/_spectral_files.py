"""Fitted spectral embeddings on disk: ``model.toml`` (parameters), ``model.safetensors`` (vectors, spectrum, ids)."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from graphrep.data._tensor_files import pack_ids, read_tensors, unpack_ids, write_tensors
from graphrep.data.write import atomic_write
from graphrep.errors import FileFormatError

if TYPE_CHECKING:
    from graphrep.methods.spectral import RandomizedSpectral

__all__ = ["load_spectral", "save_spectral"]

_FORMAT = "graphrep spectral 1"
_TENSORS = ("embedding", "eigenvalues", "residuals")
_DTYPES = {"float32": torch.float32, "float64": torch.float64}


def save_spectral(model: RandomizedSpectral, path: str | os.PathLike[str]) -> None:
    """Writes the two files into folder `path`."""
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: getattr(model, f"{name}_") for name in _TENSORS} | pack_ids(model.ids_)
    numbers = {"passes": repr(model.num_passes_), "restarts": str(model.num_restarts_)}
    write_tensors(folder / "model.safetensors", tensors, {"graphrep": _FORMAT, **numbers})
    with atomic_write(folder / "model.toml") as file:
        file.write(_toml(model.get_params()).encode())


def load_spectral(cls: type[RandomizedSpectral], path: str | os.PathLike[str]) -> RandomizedSpectral:
    """The model saved in folder `path`."""
    folder = Path(path)
    tensors, numbers = read_tensors(folder / "model.safetensors")
    if numbers.get("graphrep") != _FORMAT:
        raise FileFormatError(f"{folder} does not hold a saved {cls.__name__} model.", hint="model.save(path)")
    try:
        params = tomllib.loads((folder / "model.toml").read_text())["params"]
        model = cls(**{**params, "dtype": _DTYPES[params["dtype"]]})
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise FileFormatError(f"{folder / 'model.toml'} cannot be read: {error}.", hint="model.save(path)") from error
    for name in _TENSORS:
        setattr(model, f"{name}_", tensors[name])
    model.num_passes_, model.num_restarts_ = float(numbers["passes"]), int(numbers["restarts"])
    model.ids_ = unpack_ids(tensors)
    return model


def _toml(params: dict[str, Any]) -> str:
    """Parameters that are not None as a TOML table; the dtype by name."""
    named = {name: str(v).removeprefix("torch.") if isinstance(v, torch.dtype) else v for name, v in params.items()}
    lines = [f"{name} = {json.dumps(value)}" for name, value in named.items() if value is not None]
    return "\n".join(["[params]", *lines]) + "\n"
