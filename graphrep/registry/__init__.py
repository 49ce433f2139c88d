"""Names of methods, recipes and objectives, with where each lives; listing them imports nothing heavy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from graphrep.errors import UnknownNameError
from graphrep.registry._entry import Entry
from graphrep.registry._links import LINKS
from graphrep.registry._skipgram import SKIPGRAM
from graphrep.registry._texts import TEXTS
from graphrep.registry._typed import TYPED

__all__ = ["METHODS", "Entry", "lookup", "suggest"]


def suggest(name: str, known: Iterable[str]) -> str:
    """The known name closest to `name` as a question, or an empty string."""
    folded = {some.lower(): some for some in known}
    close = difflib.get_close_matches(name.lower(), folded, n=1)
    return f' Did you mean "{folded[close[0]]}"?' if close else ""


def lookup(name: str, table: Mapping[str, Entry], *, kind: str) -> Entry:
    """The entry registered under `name`.

    Raises:
        UnknownNameError: no such name; the message has the closest one.
    """
    if name not in table:
        raise UnknownNameError(f'Unknown {kind} "{name}".{suggest(name, table)}', hint=f"graphrep list {kind}s")
    return table[name]


METHODS: dict[str, Entry] = {
    "fastrp": Entry(
        target="graphrep.methods.fastrp:FastRP",
        task="embed",
        summary="very sparse random projection of neighbourhood averages; no training, no features needed",
        bibtex="""@inproceedings{chen2019fastrp,
  title     = {Fast and Accurate Network Embeddings via Very Sparse Random Projection},
  author    = {Chen, Haochen and Sultan, Syed Fahad and Tian, Yingtao and Chen, Muhao and Skiena, Steven},
  booktitle = {Proceedings of the 28th ACM International Conference on Information and Knowledge Management},
  year      = {2019},
  doi       = {10.1145/3357384.3357879}
}""",
    ),
    "spectral": Entry(
        target="graphrep.methods.spectral:RandomizedSpectral",
        task="embed",
        summary="leading eigenvectors by randomised block Krylov iteration; slower than fastrp, better at equal size",
        bibtex="""@article{halko2011finding,
  title   = {Finding Structure with Randomness: Probabilistic Algorithms for Constructing Approximate Matrix
             Decompositions},
  author  = {Halko, Nathan and Martinsson, Per-Gunnar and Tropp, Joel A.},
  journal = {SIAM Review},
  volume  = {53},
  number  = {2},
  pages   = {217--288},
  year    = {2011},
  doi     = {10.1137/090771806}
}

@inproceedings{musco2015randomized,
  title     = {Randomized Block Krylov Methods for Stronger and Faster Approximate Singular Value Decomposition},
  author    = {Musco, Cameron and Musco, Christopher},
  booktitle = {Advances in Neural Information Processing Systems 28},
  pages     = {1396--1404},
  year      = {2015}
}

@inproceedings{qin2013regularized,
  title     = {Regularized Spectral Clustering under the Degree-Corrected Stochastic Blockmodel},
  author    = {Qin, Tai and Rohe, Karl},
  booktitle = {Advances in Neural Information Processing Systems 26},
  pages     = {3120--3128},
  year      = {2013}
}""",
    ),
    **SKIPGRAM,
    "grace": Entry(
        target="graphrep.methods.grace:GRACE",
        task="embed",
        summary="two randomly thinned views, exact InfoNCE between all nodes; pot=true for provable training",
        needs=("features",),
        bibtex="""@misc{zhu2020deep,
  title         = {Deep Graph Contrastive Representation Learning},
  author        = {Zhu, Yanqiao and Xu, Yichen and Yu, Feng and Liu, Qiang and Wu, Shu and Wang, Liang},
  year          = {2020},
  eprint        = {2006.04131},
  archiveprefix = {arXiv}
}

@inproceedings{yu2023provable,
  title     = {Provable Training for Graph Contrastive Learning},
  author    = {Yu, Yue and Wang, Xiao and Zhang, Mengmei and Liu, Nian and Shi, Chuan},
  booktitle = {Advances in Neural Information Processing Systems 36},
  year      = {2023}
}""",
    ),
    "gca": Entry(
        target="graphrep.methods.gca:GCA",
        task="embed",
        summary="grace with views that keep central edges and features more often",
        needs=("features",),
        bibtex="""@inproceedings{zhu2021graph,
  title     = {Graph Contrastive Learning with Adaptive Augmentation},
  author    = {Zhu, Yanqiao and Xu, Yichen and Yu, Feng and Liu, Qiang and Wu, Shu and Wang, Liang},
  booktitle = {Proceedings of the Web Conference 2021},
  pages     = {2069--2080},
  year      = {2021},
  doi       = {10.1145/3442381.3449802}
}""",
    ),
    "progcl": Entry(
        target="graphrep.methods.progcl:ProGCL",
        task="embed",
        summary="gca with negatives weighted by how likely they are true ones",
        needs=("features",),
        bibtex="""@inproceedings{xia2022progcl,
  title     = {{ProGCL}: Rethinking Hard Negative Mining in Graph Contrastive Learning},
  author    = {Xia, Jun and Wu, Lirong and Wang, Ge and Chen, Jintao and Li, Stan Z.},
  booktitle = {Proceedings of the 39th International Conference on Machine Learning},
  year      = {2022}
}""",
    ),
    "costa": Entry(
        target="graphrep.methods.costa:COSTA",
        task="embed",
        summary="augmentation by a random projection over the nodes, in the space of embeddings",
        needs=("features",),
        bibtex="""@inproceedings{zhang2022costa,
  title     = {{COSTA}: Covariance-Preserving Feature Augmentation for Graph Contrastive Learning},
  author    = {Zhang, Yifei and Zhu, Hao and Song, Zixing and Koniusz, Piotr and King, Irwin},
  booktitle = {Proceedings of the 28th ACM SIGKDD Conference on Knowledge Discovery and Data Mining},
  year      = {2022},
  doi       = {10.1145/3534678.3539425}
}""",
    ),
    "ccassg": Entry(
        target="graphrep.methods.ccassg:CCASSG",
        task="embed",
        summary="two views made equal while columns stay uncorrelated; no negatives, fast on large graphs",
        needs=("features",),
        bibtex="""@inproceedings{zhang2021canonical,
  title     = {From Canonical Correlation Analysis to Self-supervised Graph Neural Networks},
  author    = {Zhang, Hengrui and Wu, Qitian and Yan, Junchi and Wipf, David and Yu, Philip S.},
  booktitle = {Advances in Neural Information Processing Systems 34},
  year      = {2021}
}""",
    ),
    "scgc": Entry(
        target="graphrep.methods.scgc:SCGC",
        task="cluster",
        summary="an encoder of features drawn towards the graph by its loss; labels new nodes without their edges",
        needs=("features",),
        bibtex="""@misc{kulatilleke2022scgc,
  title         = {{SCGC}: Self-Supervised Contrastive Graph Clustering},
  author        = {Kulatilleke, Gayan K. and Portmann, Marius and Chandra, Shekhar S.},
  year          = {2022},
  eprint        = {2204.12656},
  archiveprefix = {arXiv}
}

@inproceedings{xie2016unsupervised,
  title     = {Unsupervised Deep Embedding for Clustering Analysis},
  author    = {Xie, Junyuan and Girshick, Ross and Farhadi, Ali},
  booktitle = {Proceedings of the 33rd International Conference on Machine Learning},
  year      = {2016}
}""",
    ),
    "pamc": Entry(
        target="graphrep.methods.pamc:PamC",
        task="cluster",
        summary="scgc in which clusters repel each other instead of all nodes; linear in nodes and edges",
        needs=("features",),
        bibtex="""@misc{kulatilleke2022efficient,
  title         = {Efficient block contrastive learning via parameter-free meta-node approximation},
  author        = {Kulatilleke, Gayan K. and Portmann, Marius and Chandra, Shekhar S.},
  year          = {2022},
  eprint        = {2209.14067},
  archiveprefix = {arXiv}
}""",
    ),
    "kmeans": Entry(
        target="graphrep.methods.kmeans:KMeans",
        task="cluster",
        summary="k-means on the features alone",
        needs=("features",),
        bibtex="""@article{lloyd1982least,
  title   = {Least Squares Quantization in {PCM}},
  author  = {Lloyd, Stuart P.},
  journal = {IEEE Transactions on Information Theory},
  volume  = {28},
  number  = {2},
  pages   = {129--137},
  year    = {1982},
  doi     = {10.1109/TIT.1982.1056489}
}

@inproceedings{arthur2007kmeans,
  title     = {k-means++: The Advantages of Careful Seeding},
  author    = {Arthur, David and Vassilvitskii, Sergei},
  booktitle = {Proceedings of the 18th Annual ACM-SIAM Symposium on Discrete Algorithms},
  pages     = {1027--1035},
  year      = {2007}
}""",
    ),
    "smooth": Entry(
        target="graphrep.methods.smooth:SmoothedKMeans",
        task="cluster",
        summary="k-means on features averaged over the graph; no training",
        needs=("features",),
        bibtex="""@inproceedings{wu2019simplifying,
  title     = {Simplifying Graph Convolutional Networks},
  author    = {Wu, Felix and Souza, Amauri and Zhang, Tianyi and Fifty, Christopher and Yu, Tao and Weinberger, Kilian},
  booktitle = {Proceedings of the 36th International Conference on Machine Learning},
  pages     = {6861--6871},
  year      = {2019}
}

@inproceedings{zhang2019attributed,
  title     = {Attributed Graph Clustering via Adaptive Graph Convolution},
  author    = {Zhang, Xiaotong and Liu, Han and Li, Qimai and Wu, Xiao-Ming},
  booktitle = {Proceedings of the 28th International Joint Conference on Artificial Intelligence},
  pages     = {4327--4333},
  year      = {2019},
  doi       = {10.24963/ijcai.2019/601}
}""",
    ),
    "spectral-clustering": Entry(
        target="graphrep.methods.spectral_clustering:SpectralClustering",
        task="cluster",
        summary="k-means on the leading eigenvectors of the graph; no features needed",
        bibtex="""@inproceedings{ng2001spectral,
  title     = {On Spectral Clustering: Analysis and an Algorithm},
  author    = {Ng, Andrew Y. and Jordan, Michael I. and Weiss, Yair},
  booktitle = {Advances in Neural Information Processing Systems 14},
  pages     = {849--856},
  year      = {2001}
}

@inproceedings{qin2013regularized,
  title     = {Regularized Spectral Clustering under the Degree-Corrected Stochastic Blockmodel},
  author    = {Qin, Tai and Rohe, Karl},
  booktitle = {Advances in Neural Information Processing Systems 26},
  pages     = {3120--3128},
  year      = {2013}
}""",
    ),
    "louvain": Entry(
        target="graphrep.methods.communities:Louvain",
        task="cluster",
        summary="communities of large modularity, compiled here; no features needed, a number of its own or K",
        bibtex="""@article{blondel2008fast,
  title   = {Fast Unfolding of Communities in Large Networks},
  author  = {Blondel, Vincent D. and Guillaume, Jean-Loup and Lambiotte, Renaud and Lefebvre, Etienne},
  journal = {Journal of Statistical Mechanics: Theory and Experiment},
  volume  = {2008},
  number  = {10},
  pages   = {P10008},
  year    = {2008},
  doi     = {10.1088/1742-5468/2008/10/P10008}
}""",
    ),
    "leiden": Entry(
        target="graphrep.methods.communities:Leiden",
        task="cluster",
        summary="as louvain, by the package leidenalg (extra [leiden])",
        bibtex="""@article{traag2019louvain,
  title   = {From {Louvain} to {Leiden}: Guaranteeing Well-Connected Communities},
  author  = {Traag, Vincent A. and Waltman, Ludo and van Eck, Nees Jan},
  journal = {Scientific Reports},
  volume  = {9},
  pages   = {5233},
  year    = {2019},
  doi     = {10.1038/s41598-019-41695-z}
}""",
    ),
    "dmon": Entry(
        target="graphrep.methods.dmon:DMoN",
        task="cluster",
        summary="a graph convolution trained for the modularity of its soft clusters",
        needs=("features",),
        bibtex="""@article{tsitsulin2023graph,
  title   = {Graph Clustering with Graph Neural Networks},
  author  = {Tsitsulin, Anton and Palowitch, John and Perozzi, Bryan and M{\\"u}ller, Emmanuel},
  journal = {Journal of Machine Learning Research},
  volume  = {24},
  number  = {127},
  pages   = {1--21},
  year    = {2023}
}""",
    ),
    "embed-kmeans": Entry(
        target="graphrep.methods.kmeans:EmbeddingKMeans",
        task="cluster",
        summary="k-means on the vectors of an embedding method (fastrp, grace, ...)",
        bibtex="""@article{lloyd1982least,
  title   = {Least Squares Quantization in {PCM}},
  author  = {Lloyd, Stuart P.},
  journal = {IEEE Transactions on Information Theory},
  volume  = {28},
  number  = {2},
  pages   = {129--137},
  year    = {1982},
  doi     = {10.1109/TIT.1982.1056489}
}""",
    ),
    **TYPED,
    **TEXTS,
    **LINKS,
    "lightgcl": Entry(
        target="graphrep.methods.lightgcl:LightGCL",
        task="recommend",
        summary="lightgcn contrasted with a low-rank view of the whole graph; exact over all users and items",
        bibtex="""@inproceedings{cai2023lightgcl,
  title     = {{LightGCL}: Simple Yet Effective Graph Contrastive Learning for Recommendation},
  author    = {Cai, Xuheng and Huang, Chao and Xia, Lianghao and Ren, Xubin},
  booktitle = {The Eleventh International Conference on Learning Representations},
  year      = {2023}
}""",
    ),
    "lightgcn": Entry(
        target="graphrep.methods.lightgcn:LightGCN",
        task="recommend",
        summary="vectors spread linearly between users and items, trained by ranking",
        bibtex="""@inproceedings{he2020lightgcn,
  title     = {{LightGCN}: Simplifying and Powering Graph Convolution Network for Recommendation},
  author    = {He, Xiangnan and Deng, Kuan and Wang, Xiang and Li, Yan and Zhang, Yongdong and Wang, Meng},
  booktitle = {Proceedings of the 43rd International ACM SIGIR Conference on Research and Development in Information
               Retrieval},
  pages     = {639--648},
  year      = {2020},
  doi       = {10.1145/3397271.3401063}
}""",
    ),
    "simgcl": Entry(
        target="graphrep.methods.simgcl:SimGCL",
        task="recommend",
        summary="lightgcn with a contrast between two noisy propagations",
        bibtex="""@inproceedings{yu2022graph,
  title     = {Are Graph Augmentations Necessary? Simple Graph Contrastive Learning for Recommendation},
  author    = {Yu, Junliang and Yin, Hongzhi and Xia, Xin and Chen, Tong and Cui, Lizhen and Nguyen, Quoc Viet Hung},
  booktitle = {Proceedings of the 45th International ACM SIGIR Conference on Research and Development in Information
               Retrieval},
  pages     = {1294--1303},
  year      = {2022},
  doi       = {10.1145/3477495.3531937}
}""",
    ),
    "mf": Entry(
        target="graphrep.methods.lightgcn:MF",
        task="recommend",
        summary="matrix factorisation trained by ranking (BPR); no propagation",
        bibtex="""@inproceedings{rendle2009bpr,
  title     = {{BPR}: Bayesian Personalized Ranking from Implicit Feedback},
  author    = {Rendle, Steffen and Freudenthaler, Christoph and Gantner, Zeno and Schmidt-Thieme, Lars},
  booktitle = {Proceedings of the 25th Conference on Uncertainty in Artificial Intelligence},
  pages     = {452--461},
  year      = {2009}
}""",
    ),
    "popularity": Entry(
        target="graphrep.methods.popularity:Popularity",
        task="recommend",
        summary="the most popular items for everybody; what the others have to beat",
    ),
}
