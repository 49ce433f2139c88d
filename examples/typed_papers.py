"""Papers, authors and venues in tables of their own: read the folder, embed the papers, list what is near one.

Run: python examples/typed_papers.py
The same on the command line: graphrep embed FOLDER --method meow
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

import graphrep as gr

FIELDS = {"biology": ["Cell", "Genome"], "physics": ["Optics", "Plasma"]}


# Which table holds what. Without this file the tables' names say it: author-writes-paper.csv, nodes-paper.csv.
LAYOUT = """\
[graph]
target = "paper"
metapaths = ["paper>author>paper", "paper>venue>paper"]   # else all of the schema are tried

[nodes.paper]
file = "papers.csv"        # its first column holds the ids, columns of numbers are features
label = "field"

[[edges]]
file = "writes.csv"
source = "author"
relation = "writes"
target = "paper"

[[edges]]
file = "venues.csv"
source = "paper"
relation = "appears"
target = "venue"
"""


def write_tables(folder: Path) -> None:
    """Twelve papers of each field, each by two of its four authors and in one of its two venues."""
    papers, written, published = ["paper,pages,field"], ["author,paper"], ["paper,venue"]
    for field, venues in FIELDS.items():
        for number in range(12):
            paper = f"{field}-{number}"
            papers.append(f"{paper},{6 + number % 5},{field}")
            written += [f"{field[:3]} author {(number + shift) % 4},{paper}" for shift in range(2)]
            published.append(f"{paper},{venues[number % 2]}")
    for name, lines in {"papers": papers, "writes": written, "venues": published}.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    (folder / "graph.toml").write_text(LAYOUT)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        write_tables(Path(name))
        graph = gr.read(Path(name))
    print(graph)
    model = gr.MEOW(16, num_clusters=(2, 6), epochs=60, lr=5e-3, seed=0).fit(graph)
    for path, (clean, masked) in model.attention_.items():
        print(f"{path}: {clean + masked:.2f} of the attention")
    vectors, names = torch.nn.functional.normalize(model.embedding_), list(model.ids_)
    near = (vectors @ vectors[names.index("biology-0")]).argsort(descending=True)[1:4]
    print("near biology-0:", ", ".join(str(names[row]) for row in near))


if __name__ == "__main__":
    main()
