"""Files of named tensors in the safetensors format, written in one step and without copying the tensors."""

from __future__ import annotations

import itertools
import json
import os
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from graphrep.data.write import atomic_write
from graphrep.errors import FileFormatError

__all__ = ["pack_ids", "read_tensors", "unpack_ids", "write_tensors"]

_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
}


def write_tensors(path: str | os.PathLike[str], tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Writes `tensors` and `metadata`; the file appears complete or not at all.

    Raises:
        GraphrepError: the file cannot be written.
    """
    with atomic_write(path) as file:
        _write(file, {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, metadata)


def _write(file: IO[bytes], tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    header: dict[str, Any] = {"__metadata__": metadata}
    offset = 0
    for name, tensor in tensors.items():
        size = tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + size],
        }
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the format asks for aligned data
    file.write(len(text).to_bytes(8, "little") + text)
    for tensor in tensors.values():
        if tensor.numel():
            file.write(tensor.reshape(-1).view(torch.uint8).numpy().data)


def read_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a file.

    Raises:
        FileFormatError: no such file, or not a safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(os.fspath(path), framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise FileFormatError(
            f"{path} cannot be read as a safetensors file: {error}.", hint="model.save(path)"
        ) from error


def pack_ids(ids: Any) -> dict[str, Tensor]:
    """External ids as tensors: integers as they are, text as UTF-8 bytes with offsets."""
    if ids is None:
        return {}
    if isinstance(ids, Tensor):
        return {"ids": ids.to(torch.int64)}
    words = [str(word).encode() for word in np.asarray(ids).tolist()]
    ends = np.cumsum([0, *(len(word) for word in words)])
    data = np.frombuffer(b"".join(words), np.uint8)
    return {"ids.text": torch.from_numpy(data.copy()), "ids.offset": torch.from_numpy(ends.astype(np.int64))}


def unpack_ids(tensors: dict[str, Tensor]) -> Any:
    """The inverse of :func:`pack_ids`."""
    if "ids" in tensors:
        return tensors["ids"]
    if "ids.text" not in tensors:
        return None
    data, ends = tensors["ids.text"].numpy().tobytes(), tensors["ids.offset"].tolist()
    return np.array([data[a:b].decode() for a, b in itertools.pairwise(ends)], dtype=np.str_)
