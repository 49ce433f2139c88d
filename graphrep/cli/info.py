"""`graphrep info`: one screen of versions, devices, kernel backends and extras."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from graphrep.cli.console import Console, guarded
from graphrep.cli.options import DataDir, Json, Verbose
from graphrep.cli.system import commit, free_memory, versions

__all__ = ["EXTRAS", "info"]

# extra -> (the modules it brings, what they are for)
EXTRAS: dict[str, tuple[tuple[str, ...], str]] = {
    "text": (("transformers",), "text-attributed graphs"),
    "lora": (("peft",), "low-rank adapters of language models"),
    "ogb": (("ogb", "pandas"), "OGB data sets and evaluators"),
    "ann": (("faiss",), "nearest neighbours above a million nodes"),
    "leiden": (("leidenalg",), "communities by the Leiden method"),
    "viz": (("matplotlib", "umap"), "pictures in reports"),
    "parquet": (("pyarrow",), "parquet and arrow in and out"),
    "anndata": (("anndata",), ".h5ad files of single-cell analysis in and out"),
    "tune": (("optuna",), "hyper-parameter search"),
    "dgl": (("dgl",), "convert to and from DGL graphs"),
    "scatter": (("torch_scatter",), "rival and oracle for the scatter kernels"),
}
_SCATTER = 'pip install --no-build-isolation "graphrep[scatter]"'


@guarded
def info(
    *,
    warm_up: Annotated[
        bool, typer.Option("--warm-up", help="compile the CPU kernels now, so that no later call pays for it")
    ] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Versions, devices, which kernel backend each operation uses and why, extras, folders."""
    console = Console(as_json=as_json, verbose=verbose)
    if warm_up:
        _warm_up(console)
    found: dict[str, Any] = {
        "versions": versions(),
        "commit": commit(),
        "devices": _devices(),
        "backends": _backends(),
        "extras": _extras(),
        "folders": _folders(data_dir),
    }
    console.say("  ".join(f"{name} {version}" for name, version in found["versions"].items()))
    if found["commit"]:
        console.say(f"commit  {found['commit'][:12]}")
    console.say("\nDevices")
    for line in found["devices"]:
        console.say(f"  {line}")
    forced = os.environ.get("GRAPHREP_BACKEND")
    why = f"GRAPHREP_BACKEND={forced} forces one" if forced else "the device of the tensors decides"
    console.say(f"\nKernel backends   ({why})")
    width = max(map(len, found["backends"]))
    for operation, entry in found["backends"].items():
        console.say(f"  {operation:<{width}} " + "   ".join(f"{device}: {why}" for device, why in entry.items()))
    console.say("\nExtras")
    for extra, entry in found["extras"].items():
        state = ", ".join(f"{m} {v}" for m, v in entry["present"].items())
        missing = ", ".join(entry["missing"])
        text = state + (f"; without {missing}: {entry['install']}" if missing and state else "")
        console.say(f"  {extra:<9} {text or '-- not installed: ' + entry['install']}   ({entry['for']})")
    console.say("\nFolders")
    for name, folder in found["folders"].items():
        console.say(f"  {name:<10} {folder}")
    console.finish(found)


def _warm_up(console: Console) -> None:
    from graphrep.kernels import warmup

    started = time.perf_counter()
    warmup()
    console.say(f"The CPU kernels are compiled and kept ({time.perf_counter() - started:.1f} s).\n")


def _devices() -> list[str]:
    import torch

    room = free_memory()
    free = f", {room / 2**30:.1f} GiB memory free" if room is not None else ""
    lines = [f"cpu: {os.cpu_count()} cores, {torch.get_num_threads()} threads by default{free}"]
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        lines.append(f"cuda:{index}: {properties.name}, {properties.total_memory / 2**30:.0f} GiB")
    if torch.version.cuda is None:
        lines.append("cuda: this torch has no CUDA support; a CUDA build of torch brings it")
    elif len(lines) == 1:
        lines.append(f"cuda: torch was built for CUDA {torch.version.cuda} but finds no GPU")
    return lines


def _backends() -> dict[str, dict[str, str]]:
    """For each operation, what runs on each kind of device and why."""
    import torch

    import graphrep.kernels  # noqa: F401  (fills the table)
    from graphrep.kernels._dispatch import forced, implementations

    choice = forced()
    table: dict[str, dict[str, str]] = {}
    for operation, names in implementations().items():
        cells = {}
        for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
            if choice is not None:
                cells[device] = f"{choice} (GRAPHREP_BACKEND)" if choice in names else f"none (no {choice} kernel)"
            elif device in names:
                cells[device] = "numba" if device == "cpu" else "cuda kernel"
            else:
                cells[device] = f"plain torch (no {device} kernel)"
        table[operation] = cells
    return table


def _extras() -> dict[str, dict[str, Any]]:
    found = {}
    for extra, (modules, purpose) in EXTRAS.items():
        here = {module: _version(module) for module in modules if importlib.util.find_spec(module) is not None}
        found[extra] = {
            "present": here,
            "missing": [module for module in modules if module not in here],
            "install": _SCATTER if extra == "scatter" else f'pip install "graphrep[{extra}]"',
            "for": purpose,
        }
    return found


def _version(module: str) -> str:
    for distribution in importlib.metadata.packages_distributions().get(module, [module]):
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "installed"


def _folders(data_dir: Path | None) -> dict[str, str]:
    """Where things are kept, and whether they are there."""
    import graphrep
    from graphrep.data.datasets import cache_dir, data_roots

    roots = {f"data {n}": root for n, root in enumerate(data_roots(data_dir), start=1)}
    places = {"package": Path(graphrep.__file__).parent, "cache": cache_dir(), **roots}
    return {name: f"{path}{'' if path.is_dir() else '   (not there)'}" for name, path in places.items()}
