"""The files of a recommender: settings as TOML, everything else as tensors."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from graphrep.data.tensor_files import pack_ids, read_tensors, unpack_ids, write_tensors
from graphrep.data.write import atomic_write
from graphrep.errors import FileFormatError
from graphrep.kernels import CSR
from graphrep.methods._compression import restored
from graphrep.methods.base import params_from_toml, params_to_toml
from graphrep.train.task import History

if TYPE_CHECKING:
    from graphrep.methods.recommender import Recommender

__all__ = ["load_into", "save_model"]

_RESULTS = ("user_embedding", "item_embedding", "item_context", "popularity", "cold_users")
_Model = TypeVar("_Model", bound="Recommender")


def _format(cls: type) -> str:
    return f"graphrep {cls.__name__} 1"


def save_model(model: Recommender, path: str | os.PathLike[str]) -> None:
    """Writes ``model.toml`` and ``model.safetensors`` into folder `path`; see :meth:`Recommender.save`."""
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {name: getattr(model, f"{name}_") for name in _RESULTS}
    if model.module_ is not None:
        tensors |= {f"module.{name}": value for name, value in model.module_.state_dict().items()}
    for side in ("user", "item"):
        packed = pack_ids(getattr(model, f"{side}_ids_"))
        tensors |= {f"{side}.{name}": value for name, value in packed.items()}
    tensors |= {"seen.rowptr": model._seen.rowptr, "seen.col": model._seen.col}
    facts = {
        "graphrep": _format(type(model)),
        "trained_on": model.trained_on_ or "",
        "notes": json.dumps(model.notes_),
    }
    write_tensors(folder / "model.safetensors", tensors, facts)
    with atomic_write(folder / "model.toml") as file:
        file.write(params_to_toml(model).encode())


def load_into(cls: type[_Model], path: str | os.PathLike[str]) -> _Model:
    """A fitted model of that class; see :meth:`Recommender.load`."""
    folder = Path(path)
    tensors, facts = read_tensors(folder / "model.safetensors")
    if facts.get("graphrep") != _format(cls):
        raise FileFormatError(f"{folder} does not hold a saved {cls.__name__} model.", hint="model.save(path)")
    try:
        params = params_from_toml((folder / "model.toml").read_text(encoding="utf8"))
        model = cls(**params)
        for name in _RESULTS:
            setattr(model, f"{name}_", tensors[name])
        size = len(tensors["item_embedding"])
        model._seen = CSR(tensors["seen.rowptr"], tensors["seen.col"], num_cols=size)
        model.user_ids_, model.item_ids_ = (unpack_ids(_part(tensors, f"{side}.")) for side in ("user", "item"))
        model.notes_, model.trained_on_ = json.loads(facts["notes"]), facts["trained_on"] or None
        model.module_ = _module(model, _part(tensors, "module."))
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileFormatError(f"{folder} cannot be read: {reason}.", hint="model.save(path)") from error
    model.history_ = History()
    return model


def _module(model: Recommender, state: dict[str, Tensor]) -> Any:
    module = model._rebuilt()
    if module is not None:
        with torch.no_grad():
            module = restored(module, state)
            module.to(state["user_embedding"].dtype).load_state_dict(state)
        module.eval()
    return module


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
