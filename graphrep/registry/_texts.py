"""Methods that read the texts of nodes."""

from __future__ import annotations

from graphrep.registry._entry import Entry

__all__ = ["TEXTS"]

TEXTS: dict[str, Entry] = {
    "lmgnn": Entry(
        target="graphrep.methods.lmgnn:LMGNN",
        task="classify",
        summary="a language model on the texts of nodes and a graph network, in stages or together; classes or links",
        needs=("text",),
        bibtex="""@misc{ioannidis2022efficient,
  title         = {Efficient and effective training of language and graph neural network models},
  author        = {Ioannidis, Vassilis N. and Song, Xiang and Zheng, Da and Zhang, Houyu and Ma, Jun and Xu, Yi and
                   Zeng, Belinda and Chilimbi, Trishul and Karypis, George},
  year          = {2022},
  eprint        = {2206.10781},
  archiveprefix = {arXiv}
}

@inproceedings{zhao2023learning,
  title     = {Learning on Large-scale Text-attributed Graphs via Variational Inference},
  author    = {Zhao, Jianan and Qu, Meng and Li, Chaozhuo and Yan, Hao and Liu, Qian and Li, Rui and Xie, Xing and
               Tang, Jian},
  booktitle = {The Eleventh International Conference on Learning Representations},
  year      = {2023},
  note      = {GLEM, the stage glem}
}""",
    ),
    "textgraph": Entry(
        target="graphrep.methods.text_graph_contrast:TextGraphContrast",
        task="embed",
        summary="neighbourhoods against texts about them; classes of nodes by the names of the classes alone",
        needs=("text",),
        bibtex="""@misc{zhu2024graphclip,
  title         = {{GraphCLIP}: Enhancing Transferability in Graph Foundation Models for Text-Attributed Graphs},
  author        = {Zhu, Yun and Shi, Haizhou and Wang, Xiaotang and Liu, Yongchao and Wang, Yaoke and Peng, Boci and
                   Hong, Chuntao and Tang, Siliang},
  year          = {2024},
  eprint        = {2410.10329},
  archiveprefix = {arXiv}
}""",
    ),
}
