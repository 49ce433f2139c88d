"""Methods for graphs with several types of nodes."""

from __future__ import annotations

from graphrep.registry._entry import Entry

__all__ = ["TYPED"]

TYPED: dict[str, Entry] = {
    "meow": Entry(
        target="graphrep.methods.meow:MEOW",
        task="embed",
        summary="one node type of a heterogeneous graph by meta-paths; negatives weighted by clusters, prototypes",
        needs=("hetero",),
        bibtex="""@inproceedings{yu2023heterogeneous,
  title     = {Heterogeneous Graph Contrastive Learning with Meta-path Contexts and Weighted Negative Samples},
  author    = {Yu, Jianxiang and Li, Xiang},
  booktitle = {Proceedings of the 2023 SIAM International Conference on Data Mining},
  year      = {2023}
}""",
    ),
    "adameow": Entry(
        target="graphrep.methods.adameow:AdaMEOW",
        task="embed",
        summary="meow with trained soft weights of the negatives; watch that they do not vanish",
        needs=("hetero",),
        bibtex="""@article{yu2024heterogeneous,
  title   = {Heterogeneous Graph Contrastive Learning with Meta-Path Contexts and Adaptively Weighted Negative Samples},
  author  = {Yu, Jianxiang and Ge, Qingqing and Li, Xiang and Zhou, Aoying},
  journal = {IEEE Transactions on Knowledge and Data Engineering},
  year    = {2024},
  note    = {arXiv:2212.13847}
}""",
    ),
    "heco": Entry(
        target="graphrep.methods.heco:HeCo",
        task="embed",
        summary="one node type of a heterogeneous graph: its neighbours against its partners along meta-paths",
        needs=("hetero",),
        bibtex="""@inproceedings{wang2021self,
  title     = {Self-supervised Heterogeneous Graph Neural Network with Co-contrastive Learning},
  author    = {Wang, Xiao and Liu, Nian and Han, Hui and Shi, Chuan},
  booktitle = {Proceedings of the 27th ACM SIGKDD Conference on Knowledge Discovery and Data Mining},
  year      = {2021}
}""",
    ),
}
