"""`graphrep embed --cold`: vectors of new texts by a trained LMGNN, and what they say: classes, or likely links."""

from __future__ import annotations

import csv
import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphrep.cli.console import Console
from graphrep.cli.nodes import id_array
from graphrep.cli.runs import write_text
from graphrep.cli.system import peak_memory, use_threads, versions
from graphrep.cli.texting.texts import read_texts, table_of
from graphrep.data.check import grouped
from graphrep.errors import FileFormatError, GraphrepError

__all__ = ["embed_cold"]

_TOP = 5


def embed_cold(
    console: Console, source: str, folder: Path | None, *, out: Path | None, out_format: str | None, threads: int | None
) -> None:
    """Embeds the texts of a table.

    Args:
        console: where words go.
        source: ``FILE`` or ``FILE:COLUMN``, as for --text.
        folder: of ``graphrep train lmgnn``.
        out: of the vectors; default NAME.embeddings.npz.
        out_format: of that file.
        threads: of the CPU.

    Raises:
        GraphrepError: no model, or one that reads no texts.
        FileFormatError: no table.
    """
    from graphrep.data.embeddings import embedding_format, save_embeddings
    from graphrep.methods import LMGNN, load_model

    if folder is None:
        raise GraphrepError("--cold needs a trained model.", hint="--model runs/train-lmgnn-NAME")
    table = table_of(source)
    if table is None:
        raise FileFormatError(f"--cold {source}: there is no such file.", hint="a table with columns id and text")
    use_threads(threads)
    rows = read_texts(*table)
    assert rows.text is not None
    model = load_model(folder)
    if not isinstance(model, LMGNN):
        raise GraphrepError(f"{folder} holds a {type(model).__name__}: it reads no texts.", hint="graphrep train lmgnn")
    started = time.perf_counter()
    z, notes = _vectors(model, rows.text)
    seconds = time.perf_counter() - started
    target = out or Path(f"{table[0].name.split('.')[0]}.embeddings.{out_format or 'npz'}")
    settings = {"method": "lmgnn", "model": str(folder), "cold": source}
    save_embeddings(target, z, ids=rows.ids, settings=settings, format=embedding_format(target, out_format))
    said = _said(model, z, rows.ids, _names(folder))
    scores = None
    if said is not None:
        scores = target.with_name(f"{target.name.split('.')[0]}.scores.csv")
        write_text(scores, said)
    console.say(f"{table[0].name}: {grouped(len(z))} texts; they have no links, so that only the text speaks")
    for note in notes:
        console.say(f"  {note}")
    head = f"LMGNN  dim {z.shape[1]}  from {folder}  "
    console.say(f"{head:.<70} {seconds:.2f} s   peak {peak_memory() / 2**30:.2f} GiB")
    meaning = "class and probability" if _has_classes(model) else f"the {_TOP} likeliest links of each text"
    console.say(f"Wrote {target}" + (f" and {scores} ({meaning})" if scores else ""))
    console.finish(
        {"out": str(target), "scores": None if scores is None else str(scores), "model": str(folder),
         "num_texts": len(z), "dim": int(z.shape[1]), "seconds": round(seconds, 6), "notes": notes,
         "versions": versions()},
        path=target,
    )  # fmt: skip


def _vectors(model: Any, texts: list[str]) -> tuple[Tensor, list[str]]:
    """The vectors, with zeros where the model was trained with features that texts do not have."""
    kind = model._made["target"]
    width = int(model._made["feature_dims"].get(kind, 0))
    notes = []
    x = None
    if width and model._has_network:
        x = torch.zeros(len(texts), width)
        notes.append(f"the model was trained with {grouped(width)} features beside the texts; they are taken as zero.")
    empty = sum(not text.strip() for text in texts)
    if empty:
        notes.append(f"{grouped(empty)} texts are empty: their vectors say nothing.")
    return model.embed_texts(texts, x), notes


def _has_classes(model: Any) -> bool:
    return str(model._made["task"]) == "node"


def _names(folder: Path) -> list[str] | None:
    """Names of the classes that the run wrote down."""
    try:
        found: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf8"))
    except (OSError, ValueError):
        return None
    return found.get("classes")


def _said(model: Any, z: Tensor, ids: Any, classes: list[str] | None) -> str | None:
    """A table of what the vectors say; None where the model's scores are not those of two vectors of one kind."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = id_array(ids, len(z)).tolist()
    if _has_classes(model):
        probability = model.predict_proba(vectors=z)
        best = probability.max(1)
        writer.writerow(("id", "class", "probability"))
        said = [number if classes is None else classes[number] for number in best.indices.tolist()]
        columns = (names, said, [f"{value:.4g}" for value in best.values.tolist()])
        writer.writerows(zip(*columns, strict=True))
        return text.getvalue()
    made = model._made
    if model.scorer not in ("cosine", "dot") or len(made["num_nodes"]) > 1:
        return None
    from graphrep.eval.neighbors import index

    known = id_array(model.ids_, len(model.embedding_))
    search = index(np.asarray(model.embedding_.float()), metric=model.scorer, ids=known)
    found, scores = search.search(np.asarray(z.float()), k=min(_TOP, len(known)))
    writer.writerow(("id", "rank", "node", "score"))
    for name, others, values in zip(names, found, scores, strict=True):
        writer.writerows((name, rank, o, f"{v:.6g}") for rank, (o, v) in enumerate(zip(others, values, strict=True), 1))
    return text.getvalue()
