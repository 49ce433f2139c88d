"""Papers, authors and venues in tables of their own: read the folder, embed the papers, list what is near one.

Run: python examples/typed_papers.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

import graphrep as gr

FIELDS = {"biology": ["Cell", "Genome"], "physics": ["Optics", "Plasma"]}


def write_tables(folder: Path) -> None:
    """Twelve papers of each field, each by two of its four authors and in one of its two venues."""
    written, published = ["author,paper"], ["paper,venue"]
    for field, venues in FIELDS.items():
        for number in range(12):
            paper = f"{field}-{number}"
            written += [f"{field[:3]} author {(number + shift) % 4},{paper}" for shift in range(2)]
            published.append(f"{paper},{venues[number % 2]}")
    (folder / "author-writes-paper.csv").write_text("\n".join(written) + "\n")
    (folder / "paper-appears-venue.csv").write_text("\n".join(published) + "\n")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        write_tables(Path(name))
        graph = gr.read(Path(name))  # a graph.toml beside the tables would name targets, features and meta-paths
    print(graph)
    model = gr.MEOW(16, target="paper", num_clusters=(2, 6), epochs=60, lr=5e-3, seed=0).fit(graph)
    for path, (clean, masked) in model.attention_.items():
        print(f"{path}: {clean + masked:.2f} of the attention")
    vectors, names = torch.nn.functional.normalize(model.embedding_), list(model.ids_)
    near = (vectors @ vectors[names.index("biology-0")]).argsort(descending=True)[1:4]
    print("near biology-0:", ", ".join(str(names[row]) for row in near))


if __name__ == "__main__":
    main()
