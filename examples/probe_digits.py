"""Embed a real graph without labels, then judge the vectors: linear probe over seeds, clusters against classes.

Run: python examples/probe_digits.py
"""

from __future__ import annotations

import graphrep as gr


def main() -> None:
    graph = gr.load("digits")
    z = gr.FastRP(dim=128, weights=(0.0, 1.0, 1.0, 4.0), seed=0).fit_transform(graph)  # (1797, 128)

    probe = gr.eval.linear_probe(z, graph.y, protocol="grace", seeds=range(3))
    print(f"linear probe, 10 % labelled: micro-F1 {probe.micro_f1:.3f} +- {probe.micro_f1_std:.3f}")

    clusters = gr.eval.kmeans(z, k=10, seed=0)
    scores = gr.eval.cluster_scores(graph.y, clusters)
    print(f"k-means, 10 clusters: ACC {scores.acc:.3f}  NMI {scores.nmi:.3f}  ARI {scores.ari:.3f}")


if __name__ == "__main__":
    main()
