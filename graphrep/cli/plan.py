"""The plan of `graphrep embed`: settings joined, method built, paths chosen, memory estimated; nothing computed yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphrep.cli.console import Console
from graphrep.cli.graphs import short_name
from graphrep.cli.settings import Settings, collect, read_config
from graphrep.cli.system import free_memory
from graphrep.data.check import grouped
from graphrep.errors import DTypeError, GraphrepError, OutOfMemoryError, UnknownNameError
from graphrep.recipes import check_params, parameters, recipe
from graphrep.registry import METHODS, lookup, suggest

if TYPE_CHECKING:
    from graphrep.data import Graph, HeteroGraph

__all__ = ["Plan", "announce_needs", "build", "check_memory", "gather", "plain", "whole_numbers"]

FORMATS = {"npz": ".npz", "npy": ".npy", "csv": ".csv", "parquet": ".parquet", "w2v": ".w2v"}
LONG = 5.0  # seconds; longer runs are announced
_DTYPE_PARAMS = ("dtype", "storage")

Layer = Mapping[str, Mapping[str, Any]]


def gather(layers: Sequence[Layer], recipe_name: str | None, config: Path | None) -> Settings:
    """Settings of a run: recipe, then config file, then the given layers. Imports no method.

    Raises:
        UnknownNameError: an unknown recipe, key or method.
        GraphrepError: no graph, or a recipe for another method.
    """
    below: list[Layer] = []
    published = recipe(recipe_name) if recipe_name else None
    if published:
        head = {"method": published.method, "graph": published.dataset, "recipe": published.name}
        below.append({"run": head, "params": published.params, "eval": published.eval})
    if config:
        below.append(read_config(config))
    settings = collect({"run": {"method": "fastrp"}}, *below, *layers)
    run = settings["run"]
    if published and run["method"] != published.method:
        raise GraphrepError(
            f"Recipe {published.name} is for {published.method}, not for {run['method']}.",
            hint="leave out --method, or choose another recipe: graphrep list recipes",
        )
    if not run.get("graph"):
        raise GraphrepError("No graph was given.", hint="graphrep embed edges.csv; names: graphrep list datasets")
    entry = lookup(str(run["method"]), METHODS, kind="method")
    if entry.task != "embed" and not (entry.task == "cluster" and run.get("command") == "train"):
        raise _no_embedding(str(run["method"]), entry.task)
    return settings


def _no_embedding(method: str, task: str) -> UnknownNameError:
    hint = "graphrep recommend DATA" if task == "recommend" else "--method fastrp"
    return UnknownNameError(f"{method} is for {task}, not for embedding.", hint=hint)


def build(settings: Settings) -> Any:
    """The estimator with its parameters; afterwards `settings` holds every parameter, defaults included.

    Raises:
        UnknownNameError: a parameter that the method does not have, or a method that makes no vectors.
        DTypeError: an unknown precision.
    """
    method = str(settings["run"]["method"])
    known = parameters(method)
    if "dtype" in settings["params"] and "dtype" not in known and "precision" in known:  # --precision of embed
        settings["params"]["precision"] = settings["params"].pop("dtype")
    check_params(method, settings["params"])
    params = {name: _to_dtype(name, whole_numbers(value, known[name])) for name, value in settings["params"].items()}
    kind = METHODS[method].load()
    if not hasattr(kind, "fit_transform"):  # a clusterer that makes no vectors
        raise _no_embedding(method, METHODS[method].task)
    model = kind(**params)
    settings["params"] = {name: plain(value) for name, value in model.get_params().items() if value is not None}
    return model


def whole_numbers(value: Any, default: Any) -> Any:
    """A list of whole numbers as integers where the method's default is of integers; ``--set`` makes floats of them.

    Example:
        >>> whole_numbers([100.0, 300.0], (5, 10)), whole_numbers([1.0, 2.0], (0.5,))
        ([100, 300], [1.0, 2.0])
    """
    counts = default if isinstance(default, tuple) and default else (default,)
    if isinstance(value, list) and all(type(number) is int for number in counts):
        return [int(item) if isinstance(item, float) and item.is_integer() else item for item in value]
    return value


def _to_dtype(name: str, value: Any) -> Any:
    if name not in _DTYPE_PARAMS or not isinstance(value, str):
        return value
    import torch

    known = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16, "float16": torch.float16}
    short = {"fp32": "float32", "fp64": "float64", "bf16": "bfloat16", "fp16": "float16"}
    found = known.get(short.get(value, value))
    if found is None:
        raise DTypeError(f'Unknown precision "{value}".{suggest(value, known)}', hint=f"one of {', '.join(known)}")
    return found


def plain(value: Any) -> Any:
    """A parameter's value as TOML and JSON hold it: lists for tuples, names for dtypes."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    text = str(value)
    return text.removeprefix("torch.") if text.startswith("torch.") else value


@dataclass(frozen=True)
class Plan:
    """Where a run writes and what it will need.

    Attributes:
        name: short name of the graph.
        out: the file of the vectors.
        run_dir: the folder of the run.
        memory: estimated peak bytes of the computation, or None where the method cannot tell.
        estimate: everything the method estimates, for ``--dry-run``.
    """

    name: str
    out: Path
    format: str
    run_dir: Path
    memory: int | None
    estimate: dict[str, Any]

    @classmethod
    def make(cls, settings: Settings, graph: Graph | HeteroGraph, model: Any, run_dir: Path | None) -> Plan:
        """Chooses paths and asks the method for its needs; completes ``settings["run"]`` with them."""
        from graphrep.data.embeddings import embedding_format

        run = settings["run"]
        name = short_name(str(run["graph"]))
        kind = run.get("format")
        if kind is not None and kind not in FORMATS:
            raise UnknownNameError(f'Unknown format "{kind}".{suggest(kind, FORMATS)}', hint="|".join(FORMATS))
        trains = run.get("command") == "train"
        if run_dir is None:
            run_dir = Path("runs") / (f"train-{run['method']}-{name}" if trains else f"embed-{name}")
        ending = FORMATS[kind or "npz"]
        out = Path(run.get("out") or (run_dir / f"embeddings{ending}" if trains else f"{name}.embeddings{ending}"))
        kind = embedding_format(out, kind)
        if not out.absolute().parent.is_dir() and out.parent != run_dir:
            raise GraphrepError(f"There is no folder {out.parent} to write into.", hint=f"mkdir -p {out.parent}")
        if Path(str(run["graph"])).is_file() and out.exists() and out.samefile(str(run["graph"])):
            raise GraphrepError(f"{out} is the graph itself; it would be overwritten.", hint="another name with --out")
        run |= {"out": str(out), "format": kind}
        needs = estimate(model, graph)
        memory = needs.get("memory_bytes")
        return cls(name, out, kind, run_dir, memory, needs)

    def show(self, console: Console, settings: Settings, model: Any) -> None:
        """What ``--dry-run`` prints."""
        console.say(f"{model!r}")
        if self.estimate:
            seconds = max(self.estimate["seconds"], 0.1)
            console.say(f"  needs about {_size(self.estimate['memory_bytes'])} beside the graph, {seconds:.1f} s")
        console.say(f"  would write {self.out} and the folder {self.run_dir}")
        payload = {"plan": settings, "estimate": self.estimate, "out": str(self.out), "run": str(self.run_dir)}
        console.finish({**payload, "dry_run": True}, path=self.out)


def estimate(model: Any, graph: Graph | HeteroGraph) -> dict[str, Any]:
    """What the method says it needs for this graph; empty for a method that cannot tell."""
    if not hasattr(model, "estimate") or isinstance(graph.num_nodes, Mapping):
        return {}
    found = model.estimate(
        graph.num_nodes, graph.num_edges, weighted=graph.edge_weight is not None, num_features=graph.num_features
    )
    return {"memory_bytes": found.bytes, "seconds": found.seconds}


def check_memory(console: Console, memory: int | None, device: str) -> None:
    """Refuses a run that needs more memory than is free, and warns above 80 %.

    Raises:
        OutOfMemoryError: it would not fit.
    """
    free = free_memory(device)
    if memory is None or free is None or memory <= 0.8 * free:
        return
    text = f"needs about {_size(memory)}, and {_size(free)} are free on {device}"
    if memory > free:
        raise OutOfMemoryError(
            f"This run {text}.", hint="--dim with a smaller number, or --set storage=bfloat16 (half the buffers)"
        )
    console.note(f"Warning: this run {text}.")


def announce_needs(console: Console, estimate: dict[str, Any]) -> None:
    """Before a long run, one line with the estimated time and memory."""
    if estimate.get("seconds", 0.0) >= LONG:
        memory = _size(estimate["memory_bytes"])
        console.say(f"  will take about {estimate['seconds']:.0f} s and {memory} beside the graph (an estimate)")


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{grouped(max(count >> 20, 1))} MiB"
