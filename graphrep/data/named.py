"""Data sets that OGB and PyG left on this machine: where their files lie. Nothing is downloaded or run."""

from __future__ import annotations

import os
from pathlib import Path

from graphrep.data.datasets import data_roots
from graphrep.data.ogb import raw_folder
from graphrep.errors import FileFormatError, UnknownNameError

__all__ = ["find_ogb", "find_pyg"]

_LOADERS = {"ogbn": ("nodeproppred", "NodePropPredDataset"), "ogbl": ("linkproppred", "LinkPropPredDataset")}
_NOT_DATA = ("pre_transform", "pre_filter")


def find_ogb(name: str, data_dir: str | os.PathLike[str] | None = None) -> Path:
    """The folder of an OGB data set: ``ROOT/ogbn_arxiv`` for ``ogbn-arxiv``, also in ``ROOT/ogb`` or ``ROOT/dataset``.

    Args:
        name: OGB's name, with ``-`` or ``_``.
        data_dir: a root that is searched before the others of :func:`graphrep.data.datasets.data_roots`.

    Raises:
        UnknownNameError: not the name of a node or link property set.
        FileFormatError: the folder is not there; the hint says how to get it.
    """
    kind = name[:4].lower()
    if kind not in _LOADERS or len(name) < 6 or "/" in name or "\\" in name:
        raise UnknownNameError(
            f'"{name}" is no node or link property set of OGB.', hint="ogb:ogbn-arxiv, ogb:ogbl-collab"
        )
    roots = data_roots(data_dir)
    for root in roots:
        for folder in (root, root / "ogb", root / "dataset"):
            for spelled in (name.replace("-", "_"), name):
                if raw_folder(folder / spelled) is not None:
                    return folder / spelled
    module, loader = _LOADERS[kind]
    raise FileFormatError(
        f"{name} is not there (looked for {', '.join(str(r / name.replace('-', '_')) for r in roots)}).",
        hint=f"""python -c "from ogb.{module} import {loader} as D; D('{name}', root='{roots[-1]}')" downloads it""",
    )


def find_pyg(name: str, data_dir: str | os.PathLike[str] | None = None) -> Path:
    """The processed file of a PyG data set, ``ROOT/CLASS[/NAME]/processed/*.pt`` or below ``ROOT/pyg``.

    Args:
        name: ``CLASS`` or ``CLASS/NAME``, as in ``Planetoid/Cora``.
        data_dir: a root that is searched before the others of :func:`graphrep.data.datasets.data_roots`.

    Raises:
        UnknownNameError: not of that form.
        FileFormatError: the file is not there (the hint says how to get it), or there are several.
    """
    parts = name.split("/")
    if not 1 <= len(parts) <= 2 or not all(part and part.replace("-", "_").isidentifier() for part in parts):
        raise UnknownNameError(f'"{name}" is no data set of PyG.', hint="pyg:Planetoid/Cora, pyg:Reddit")
    roots = data_roots(data_dir)
    for root in roots:
        for folder in (root / "pyg", root):
            files = [
                file
                for path in _spelled(folder, parts)
                for file in sorted((path / "processed").glob("*.pt"))
                if file.stem not in _NOT_DATA
            ]
            if len(files) > 1:
                raise FileFormatError(
                    f"{files[0].parent} holds {len(files)} files: {', '.join(f.name for f in files[:4])}.",
                    hint=f"name one: {files[0]}",
                )
            if files:
                return files[0]
    place = f"{roots[-1] / 'pyg' / parts[0]}"
    more = f", '{parts[1]}'" if len(parts) == 2 else ""
    raise FileFormatError(
        f"pyg:{name} is not there (looked for {', '.join(str(r / 'pyg' / name / 'processed') for r in roots)}).",
        hint=f"""python -c "from torch_geometric.datasets import {parts[0]} as D; D('{place}'{more})" makes it""",
    )


def _spelled(folder: Path, parts: list[str]) -> list[Path]:
    """Folders of that name, capital letters aside: PyG's classes do not agree on them."""
    found = [folder]
    for part in parts:
        found = [
            child for f in found if f.is_dir() for child in sorted(f.iterdir()) if child.name.lower() == part.lower()
        ]
    return found
