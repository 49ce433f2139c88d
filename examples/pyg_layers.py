"""Self-supervised training with layers that take PyG's place: a GCN encoder and GRACE's loss on handwritten digits.

Run: python examples/pyg_layers.py
"""

from __future__ import annotations

import torch
from torch_geometric.utils import dropout_edge, mask_feature

import graphrep as gr
from graphrep.nn import GCNConv
from graphrep.objectives import info_nce

EPOCHS = 40


class Encoder(torch.nn.Module):
    """Two graph convolutions; any torch_geometric.nn.GCNConv checkpoint fits."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = GCNConv(in_channels, 2 * out_channels)
        self.second = GCNConv(2 * out_channels, out_channels)

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x, edge_index).relu(), edge_index)


def main() -> None:
    torch.manual_seed(0)
    graph = gr.load("digits")
    x, edge_index = graph.x, graph.edge_index
    encoder = Encoder(x.shape[1], 64)
    projector = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ELU(), torch.nn.Linear(64, 64))
    optimizer = torch.optim.Adam([*encoder.parameters(), *projector.parameters()], lr=5e-3)

    def view() -> torch.Tensor:
        """The embedding of a graph that lost some of its edges and features."""
        return projector(encoder(mask_feature(x, p=0.2)[0], dropout_edge(edge_index, p=0.3)[0]))

    for epoch in range(EPOCHS):
        optimizer.zero_grad()
        loss = info_nce(view(), view(), temperature=0.4)
        loss.backward()
        optimizer.step()
        if epoch % 10 == 0:
            print(f"epoch {epoch:3d}  loss {loss.item():.3f}")

    with torch.no_grad():
        z = encoder(x, edge_index)
    print(gr.eval.linear_probe(z, graph.y, protocol="grace"))


if __name__ == "__main__":
    main()
