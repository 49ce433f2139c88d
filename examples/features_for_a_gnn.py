"""FastRP vectors as input features of a PyTorch Geometric model on a graph that has none.

Run: python examples/features_for_a_gnn.py
"""

from __future__ import annotations

import torch
from torch_geometric.nn import GCNConv

import graphrep as gr


class Network(torch.nn.Module):
    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv1 = GCNConv(in_channels, 32)
        self.conv2 = GCNConv(32, num_classes)

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        return self.conv2(self.conv1(x, edge_index).relu(), edge_index)


def main() -> None:
    torch.manual_seed(0)
    graph = gr.load("karate")
    data = gr.to_pyg(graph)
    data.x = gr.FastRP(dim=32, seed=0).fit_transform(graph)  # (34, 32)

    known = torch.tensor([0, 33])  # the two leaders, one of each side
    model = Network(32, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(100):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(data.x, data.edge_index)[known], data.y[known])
        loss.backward()
        optimizer.step()

    accuracy = (model(data.x, data.edge_index).argmax(1) == data.y).double().mean()
    print(f"34 members, 2 labelled: accuracy {accuracy:.3f}")


if __name__ == "__main__":
    main()
