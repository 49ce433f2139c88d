"""What `graphrep embed` does: plan, vectors with progress and saved states, files, last words."""

from __future__ import annotations

import inspect
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import graphrep
from graphrep.cli.console import Console
from graphrep.cli.graphs import announce, find_graph
from graphrep.cli.plan import Plan, announce_needs, build, check_memory, gather
from graphrep.cli.progress import PowerProgress, Stopped, stop_after
from graphrep.cli.runs import RunFolder, command_line, write_text
from graphrep.cli.settings import Settings, to_toml
from graphrep.cli.system import describe, peak_memory, resolve_device, use_threads, versions
from graphrep.cli.training import fit_trained
from graphrep.cli.typed import TypedRows, announce_typed, find_typed, needs_types, published_recipe
from graphrep.data.check import grouped
from graphrep.errors import DeviceError, GraphrepError
from graphrep.recipes import parameters

if TYPE_CHECKING:
    from graphrep.data import Graph, HeteroGraph

__all__ = ["Outputs", "choose_device", "embed_run", "warm_up"]

_RING = 256  # nodes from which a method may take other kernels than on two


@dataclass(frozen=True)
class Outputs:
    """What to write beside the vectors, and where the run keeps its files."""

    run_dir: Path | None = None
    save_config: Path | None = None
    report: bool = False
    picture: Path | None = None
    projection: str = "pca"


@dataclass
class Run:
    """A run on its way: what the steps hand on."""

    settings: Settings
    graph: Graph | HeteroGraph
    model: Any
    plan: Plan
    folder: RunFolder
    device: str
    threads: int
    seconds: dict[str, float]

    @property
    def rows(self) -> Graph | TypedRows:
        """The nodes that have vectors."""
        from graphrep.data import HeteroGraph

        graph = self.graph
        return TypedRows.of(graph, self.settings["params"].get("target")) if isinstance(graph, HeteroGraph) else graph


def embed_run(
    console: Console,
    *,
    layers: Sequence[Mapping[str, Mapping[str, Any]]],
    recipe_name: str | None,
    config: Path | None,
    resume: Path | None,
    checkpoint_every: float,
    outputs: Outputs,
    dry_run: bool,
) -> None:
    """Embeds a graph, from the first setting to the last file."""
    if resume is not None:
        config = RunFolder.require(resume)
    settings = gather(layers, recipe_name, config)
    run = settings["run"]
    threads = use_threads(run.get("threads"), deterministic=run.get("deterministic"))
    device = choose_device(settings)
    model = build(settings)
    if resume is not None and _finished(console, resume, run):
        return
    started = time.perf_counter()
    graph = _find(settings)
    seconds = {"read": time.perf_counter() - started}
    plan = Plan.make(settings, graph, model, outputs.run_dir or resume)
    _announce(console, settings, graph)
    check_memory(console, plan.memory, device)
    announce_needs(console, plan.estimate)
    if dry_run:
        plan.show(console, settings, model)
        return
    if outputs.save_config:
        write_text(outputs.save_config, to_toml(settings))
    folder = RunFolder(plan.run_dir, settings, resume=resume is not None)
    try:
        job = Run(settings, graph, model, plan, folder, device, threads, seconds)
        z = _compute(console, job, checkpoint_every)
        _finish(console, job, z, outputs)
    finally:
        folder.close()


def _find(settings: Settings) -> Graph | HeteroGraph:
    """The graph of the kind that the method takes.

    Raises:
        GraphrepError: features from elsewhere for a typed graph.
    """
    run = settings["run"]
    where: dict[str, Any] = {"data_dir": run.get("data_dir"), "read": settings["read"]}
    if needs_types(str(run["method"])):
        if run.get("features"):
            raise GraphrepError(
                f"--features does not apply to {run['method']}, which knows several kinds of nodes.",
                hint='features = "FILE" of [nodes.TYPE] in graph.toml',
            )
        return find_typed(str(run["graph"]), **where)
    graph = find_graph(str(run["graph"]), **where)
    if run.get("features"):
        from graphrep.cli.features import with_features

        graph = with_features(graph, str(run["features"]), seed=int(settings["params"].get("seed", 0)))
    if run.get("text"):
        from graphrep.cli.texting.texts import with_texts

        graph, _ = with_texts(graph, str(run["text"]), str(run["graph"]))
    return graph


def _announce(console: Console, settings: Settings, graph: Graph | HeteroGraph) -> None:
    """Says what the graph is; of a named set, too, that there are published settings which were not asked for."""
    from graphrep.data import HeteroGraph

    run, name = settings["run"], str(settings["run"]["graph"])
    for line in announce_typed(graph, name) if isinstance(graph, HeteroGraph) else announce(graph, name):
        console.say(line)
    if isinstance(graph, HeteroGraph) and not run.get("recipe"):
        known = published_recipe(str(run["method"]), name)
        if known:
            console.say(f"  published settings for this set: --recipe {known}")


def choose_device(settings: Settings) -> str:
    """The device of the run; a method that takes one is given it.

    Raises:
        DeviceError: no such device, or one that the method does not compute on.
    """
    run, params = settings["run"], settings["params"]
    wanted = run.get("device") or "auto"
    if "device" in parameters(str(run["method"])):
        params["device"] = resolve_device(wanted) if run.get("device") else params.get("device", resolve_device("auto"))
        return str(params["device"])
    if wanted == "auto":
        return "cpu"
    device = resolve_device(wanted)
    if device != "cpu":
        raise DeviceError(f"{run['method']} computes on the CPU in this version, not on {device}.", hint="--device cpu")
    return device


def _finished(console: Console, folder: Path, run: dict[str, Any]) -> bool:
    """Whether the run to resume is complete already; says so."""
    done = (folder / "result.json").is_file() and Path(str(run.get("out", ""))).is_file()
    if done:
        RunFolder.clear_states(folder)  # the run may have been killed between its last file and this
        console.say(f"{folder} is finished: {run['out']}")
        console.finish({"out": run["out"], "run": str(folder), "finished": True}, path=run["out"])
    return done


def _compute(console: Console, job: Run, checkpoint_every: float) -> Any:
    """The vectors, with progress on stderr and the state saved now and then.

    Raises:
        KeyboardInterrupt: Ctrl-C; the state is saved, and a line says how to go on.
    """
    from graphrep.methods import TrainedEstimator

    params = job.settings["params"]
    trains = isinstance(job.model, TrainedEstimator)
    began = time.perf_counter()
    if not trains:
        warm_up(job.model, job.graph)
    job.seconds["compile"] = time.perf_counter() - began
    started = time.perf_counter()
    if trains:
        z = fit_trained(console, job.model, job.graph, job.folder, checkpoint_every=checkpoint_every)
    else:
        z = _fit(console, job, checkpoint_every)
    job.seconds["compute"] = time.perf_counter() - started
    if job.seconds["compile"] > 1:
        console.say(f"  compiled its loops in {job.seconds['compile']:.1f} s (kept for the next run)")
    head = f"{type(job.model).__name__}  dim {params.get('dim')}"
    if isinstance(params.get("weights"), list):  # of powers
        head += "  weights " + ",".join(f"{w:g}" for w in params["weights"])
    head += f"  backend {_backend(job.device)}  "
    console.say(f"{head:.<70} {job.seconds['compute']:.2f} s   peak {peak_memory() / 2**30:.2f} GiB")
    return z


def warm_up(model: Any, graph: Graph) -> None:
    """Runs copies of the method on small graphs of the same kind as `graph`, so that compiling can be timed apart."""
    import torch

    from graphrep.data import Graph
    from graphrep.kernels import CSR
    from graphrep.kernels._numba import SMALL_WORK

    if graph.num_edges >= SMALL_WORK:  # long lists are grouped by a loop of their own, for all threads
        CSR.from_edge_index(torch.zeros(2, SMALL_WORK, dtype=torch.int64))
    weight = None if graph.edge_weight is None else torch.ones(2, dtype=graph.edge_weight.dtype)
    x = None if graph.x is None else torch.ones(2, graph.num_features)
    pair = Graph(torch.tensor([[0, 1], [1, 0]]), weight, x)
    type(model)(**model.get_params()).fit_transform(pair)
    nodes = min(graph.num_nodes, 4 * model.get_params().get("dim", 0))
    if nodes >= _RING and weight is None and x is None:  # methods that treat tiny graphs differently
        one_way = torch.stack([torch.arange(nodes), torch.arange(1, nodes + 1) % nodes])
        type(model)(**model.get_params()).fit_transform(Graph(torch.cat([one_way, one_way.flip(0)], dim=1)))


def _fit(console: Console, job: Run, checkpoint_every: float) -> Any:
    """The method's own work, with what it offers of progress and saved states."""
    takes = inspect.signature(job.model.fit).parameters
    powers = len(job.settings["params"].get("weights", ()))
    options: dict[str, Any] = {}
    state = job.folder.checkpoint
    if "checkpoint" in takes and not job.settings["params"].get("concat"):
        longer = job.plan.estimate.get("seconds", 0.0) >= checkpoint_every
        if longer or state.exists():
            options = {"checkpoint": state, "resume": state.exists()}
    with (
        stop_after(console, "power", saves=bool(options)) as stop,
        PowerProgress(powers, job.folder, stop, show=not console.quiet) as progress,
    ):
        if "progress" in takes:
            options["progress"] = progress
        try:
            z = job.model.fit_transform(job.graph, **options)
        except Stopped:
            saved = f"Interrupted; {len(progress.seconds)} powers are saved." if state.exists() else "Interrupted."
            raise Stopped(f"{saved} To finish: graphrep embed --resume {job.folder.path}") from None
    job.seconds |= {f"power {power}": value for power, value in progress.seconds.items()}
    return z


def _backend(device: str) -> str:
    from graphrep.kernels._dispatch import backend

    name = backend(device)
    return {"cpu": "cpu/numba", "reference": f"{device}/torch", "cuda": "cuda"}[name]


def _finish(console: Console, job: Run, z: Any, outputs: Outputs) -> None:
    """Writes the vectors, then everything else, and says where."""
    from graphrep.data.embeddings import save_embeddings

    run, plan = job.settings["run"], job.plan
    started = time.perf_counter()
    remembered = {
        "method": run["method"],
        "params": job.settings["params"],
        "graph": run["graph"],
        "recipe": run.get("recipe"),
        "eval": job.settings["eval"],
        "graphrep": graphrep.__version__,
    }
    rows = job.rows
    save_embeddings(plan.out, z, ids=rows.ids, settings=remembered, format=plan.format)
    job.seconds["write"] = time.perf_counter() - started
    report = getattr(job.graph, "report", None)
    result = {
        "out": str(plan.out),
        "run": str(plan.run_dir),
        "graph": report.to_dict() if report is not None else {"name": plan.name},
        "num_nodes": rows.num_nodes,
        "num_edges": job.graph.num_edges,
        "dim": int(z.shape[1]),
        "method": run["method"],
        "params": job.settings["params"],
        "seconds": {key: round(value, 6) for key, value in job.seconds.items()},
        "peak_memory_bytes": peak_memory(),
        "command": command_line(),
        "versions": versions(),
        **describe(job.device, job.threads),
    }
    if hasattr(job.model, "history_"):
        job.model.save(plan.run_dir)
        history = job.model.history_
        result["training"] = {**history.to_dict(), "epochs": len(history.epochs)}
        if history.epochs:
            result["training"]["loss"] = history.epochs[-1].loss
    if hasattr(job.model, "labels_"):
        result["clusters"] = _clusters(console, job)
    elif isinstance(rows, TypedRows):
        result |= _typed_result(console, rows, job.model)
    _draw(job, z, outputs, result)
    job.folder.result(result)
    job.folder.drop_checkpoint()
    holds = "ids, vectors float32, settings" if plan.format in ("npz", "parquet") else "ids, vectors float32"
    others = "|".join(name for name in ("parquet", "csv", "w2v", "npy", "npz") if name != plan.format)
    console.say(f"Wrote {plan.out} ({holds})      --format {others} for others")
    model = plan.run_dir / "model.safetensors" if "training" in result else None
    for path in (model, job.folder.path / "report.html" if outputs.report else None, outputs.picture):
        if path:
            console.say(f"Wrote {path}")
    for line in console.lines:
        job.folder.log(line)
    console.finish(result, path=plan.out)


def _typed_result(console: Console, rows: TypedRows, model: Any) -> dict[str, Any]:
    """What there is to know beside the vectors: the type, notes, and how much each meta-path counts."""
    shares = {path: [round(share, 4) for share in pair] for path, pair in getattr(model, "attention_", {}).items()}
    for path, pair in shares.items():
        console.say(f"  {path:<40} attention " + " + ".join(f"{share:.3f}" for share in pair))
    for note in model.notes_:
        console.say(f"  {note}")
    return {"node_type": rows.node_type, "attention": shares, "notes": list(model.notes_)}


def _clusters(console: Console, job: Run) -> dict[str, Any]:
    """Writes the labels of a clusterer into the run's folder, and says what there is to know of them."""
    import csv
    import io

    from graphrep.cli.nodes import id_array

    model, path, text = job.model, job.plan.run_dir / "clusters.csv", io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [id_array(job.rows.ids, job.rows.num_nodes).tolist(), model.labels_.tolist()]
    if model.probabilities_ is not None:
        columns.append([f"{share:.6g}" for share in model.probabilities_.amax(1).tolist()])
    names = ("id", "cluster", "share")[: len(columns)]
    writer.writerows([names, *zip(*columns, strict=True)])
    write_text(path, text.getvalue())
    sizes = model.labels_.bincount().tolist()
    console.say(f"  {model.num_clusters_} clusters of {min(sizes)} to {max(sizes)} nodes")
    for note in model.notes_:
        console.say(f"  {note}")
    console.say(f"Wrote {path} ({', '.join(names)})")
    return {"file": str(path), "num_clusters": model.num_clusters_, "sizes": sizes, "notes": model.notes_}


def _draw(job: Run, z: Any, outputs: Outputs, result: dict[str, Any]) -> None:
    """report.html and the picture file, where asked for."""
    if not (outputs.report or outputs.picture):
        return
    import numpy as np

    from graphrep.cli.reporting import Shown, write_outputs

    started = time.perf_counter()
    seed = int(job.settings["params"].get("seed", 0))
    vectors = np.asarray(z.float() if hasattr(z, "float") else z)
    rows = job.rows
    shown = Shown(rows, vectors, projection=outputs.projection, seed=seed)
    facts = [(name, f"{value:.2f}") for name, value in job.seconds.items()]
    facts.append(("peak memory", f"{result['peak_memory_bytes'] / 2**30:.2f} GiB"))
    facts.append(("threads", str(job.threads)))
    write_outputs(
        shown,
        title=f"{job.plan.name}: {result['dim']} numbers for each of {grouped(rows.num_nodes)} nodes",
        subtitle=f"graphrep {graphrep.__version__}, {type(job.model).__name__}. Vectors: {job.plan.out}",
        facts={"Seconds": facts},
        settings={"method": job.settings["run"]["method"], **job.settings["params"]},
        command=f"graphrep {job.settings['run'].get('command', 'embed')} --config {job.folder.path / 'config.toml'}",
        report=job.folder.path / "report.html" if outputs.report else None,
        picture=outputs.picture,
    )
    result["seconds"]["draw"] = round(time.perf_counter() - started, 6)
