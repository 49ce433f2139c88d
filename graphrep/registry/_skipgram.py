"""Methods that learn from random walks."""

from __future__ import annotations

from graphrep.registry._entry import Entry

__all__ = ["SKIPGRAM"]

SKIPGRAM: dict[str, Entry] = {
    "deepwalk": Entry(
        target="graphrep.methods.deepwalk:DeepWalk",
        task="embed",
        summary="skip-gram on uniform random walks; no features needed, no vectors for new nodes",
        bibtex="""@inproceedings{perozzi2014deepwalk,
  title     = {{DeepWalk}: Online Learning of Social Representations},
  author    = {Perozzi, Bryan and Al-Rfou, Rami and Skiena, Steven},
  booktitle = {Proceedings of the 20th ACM SIGKDD International Conference on Knowledge Discovery and Data Mining},
  pages     = {701--710},
  year      = {2014},
  doi       = {10.1145/2623330.2623732}
}

@inproceedings{zhu2019graphvite,
  title     = {{GraphVite}: A High-Performance {CPU-GPU} Hybrid System for Node Embedding},
  author    = {Zhu, Zhaocheng and Xu, Shizhen and Qu, Meng and Tang, Jian},
  booktitle = {The World Wide Web Conference},
  pages     = {2494--2504},
  year      = {2019},
  doi       = {10.1145/3308558.3313508}
}""",
    ),
    "line": Entry(
        target="graphrep.methods.line:LINE",
        task="embed",
        summary="skip-gram on edges: nodes with similar neighbours get similar vectors; follows directions",
        bibtex="""@inproceedings{tang2015line,
  title     = {{LINE}: Large-scale Information Network Embedding},
  author    = {Tang, Jian and Qu, Meng and Wang, Mingzhe and Zhang, Ming and Yan, Jun and Mei, Qiaozhu},
  booktitle = {Proceedings of the 24th International Conference on World Wide Web},
  pages     = {1067--1077},
  year      = {2015},
  doi       = {10.1145/2736277.2741093}
}""",
    ),
    "node2vec": Entry(
        target="graphrep.methods.node2vec:Node2Vec",
        task="embed",
        summary="deepwalk on walks that remember where they came from (p, q); memory linear in the edges",
        bibtex="""@inproceedings{grover2016node2vec,
  title     = {node2vec: Scalable Feature Learning for Networks},
  author    = {Grover, Aditya and Leskovec, Jure},
  booktitle = {Proceedings of the 22nd ACM SIGKDD International Conference on Knowledge Discovery and Data Mining},
  pages     = {855--864},
  year      = {2016},
  doi       = {10.1145/2939672.2939754}
}""",
    ),
}
