"""A checksum of what a data archive says, whatever integer types, compression and order of arrays it has."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["content_sha256"]

_NOT_CONTENT = ("raw_", "alt_", "unlabeled_", "unverified")


def content_sha256(arrays: Mapping[str, Any]) -> str:
    """SHA-256 over names, shapes and values of an archive's arrays in order of name.

    Integers count as int64 and other numbers as float32. Arrays that only tell how the others were made
    (``raw_*``, ``alt_*``, ``unlabeled_*``) do not count.

    Example:
        >>> small, wide = np.array([1, 2], dtype=np.int16), np.array([1, 2])
        >>> content_sha256({"y": small}) == content_sha256({"y": wide, "raw_y": small})
        True
        >>> content_sha256({"y": small}) == content_sha256({"y": small[::-1]})
        False
    """
    digest = hashlib.sha256()
    for name in sorted(arrays):
        if name.startswith(_NOT_CONTENT):
            continue
        array = np.asarray(arrays[name])
        array = array.astype("<i8" if array.dtype.kind in "biu" else "<f4" if array.dtype.kind == "f" else array.dtype)
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
