"""Embed an edge list and look up neighbours: the three lines most people need.

Run: python examples/embed_edge_list.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

import graphrep as gr

EDGES = """source,target,weight
alice,bob,3
bob,carol,1
carol,alice,2
dora,emil,5
emil,fay,1
fay,dora,2
carol,dora,1
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "friends.csv"
        path.write_text(EDGES)
        graph = gr.read(path)

    z = gr.FastRP(dim=64, weights=(1.0, 1.0, 1.0), seed=0).fit_transform(graph)  # (6, 64)
    unit = torch.nn.functional.normalize(z)
    similarity = unit @ unit.T
    similarity.fill_diagonal_(-1)
    for name, best in zip(graph.ids, similarity.argmax(1), strict=True):
        print(f"{name:6s} is closest to {graph.ids[int(best)]}")


if __name__ == "__main__":
    main()
