"""Training objectives: pure functions, each with a module of the same name; none builds an N x N or E x d array."""

from graphrep.objectives.adameow import (
    AdaMEOWContrastLoss,
    AdaptiveNegativeWeight,
    WeightStatistics,
    adameow_contrast,
)
from graphrep.objectives.bootstrap import BootstrapLoss, bootstrap
from graphrep.objectives.bpr import BPRLoss, bpr
from graphrep.objectives.cca_ssg import CCASSGLoss, cca_ssg
from graphrep.objectives.clustering import ClusteringKLLoss, clustering_kl, student_t, target_distribution
from graphrep.objectives.compactness import (
    POTLoss,
    adjacency_bounds,
    contrast_vectors,
    gcn_bounds,
    node_compactness,
    pot,
)
from graphrep.objectives.decoupled import DecoupledContrastiveLoss, decoupled_contrastive
from graphrep.objectives.guided import guided_negatives
from graphrep.objectives.in_batch import InBatchInfoNCELoss, in_batch_info_nce
from graphrep.objectives.influence import InfluenceContrastLoss, influence_contrast
from graphrep.objectives.infonce import InfoNCELoss, info_nce
from graphrep.objectives.lightgcl import LightGCLContrastLoss, lightgcl_contrast
from graphrep.objectives.link import (
    LinkAdversarialLoss,
    LinkBCELoss,
    LinkBPRLoss,
    LinkInfoNCELoss,
    link_adversarial,
    link_bce,
    link_bpr,
    link_info_nce,
)
from graphrep.objectives.mann_whitney import MannWhitneyLoss, mann_whitney
from graphrep.objectives.matryoshka import matryoshka
from graphrep.objectives.meow import MEOWContrastLoss, meow_contrast
from graphrep.objectives.meta_nodes import PamCLoss, pamc
from graphrep.objectives.modularity import DMoNLoss, dmon_loss, spectral_modularity
from graphrep.objectives.multi_view import MVDHELLoss, MVInfoNCELoss, mv_dhel, mv_info_nce
from graphrep.objectives.progcl import BetaMixture, ProGCLContrastLoss, progcl_contrast
from graphrep.objectives.prototypes import PrototypeContrastLoss, prototype_contrast, prototype_density
from graphrep.objectives.pseudo_labels import PseudoLabelLoss, pseudo_label_loss
from graphrep.objectives.scaled_contrast import ScaledContrastLoss, scaled_contrast
from graphrep.objectives.temperatures import IndividualTemperatures

__all__ = [
    "AdaMEOWContrastLoss",
    "AdaptiveNegativeWeight",
    "BPRLoss",
    "BetaMixture",
    "BootstrapLoss",
    "CCASSGLoss",
    "ClusteringKLLoss",
    "DMoNLoss",
    "DecoupledContrastiveLoss",
    "InBatchInfoNCELoss",
    "IndividualTemperatures",
    "InfluenceContrastLoss",
    "InfoNCELoss",
    "LightGCLContrastLoss",
    "LinkAdversarialLoss",
    "LinkBCELoss",
    "LinkBPRLoss",
    "LinkInfoNCELoss",
    "MEOWContrastLoss",
    "MVDHELLoss",
    "MVInfoNCELoss",
    "MannWhitneyLoss",
    "POTLoss",
    "PamCLoss",
    "ProGCLContrastLoss",
    "PrototypeContrastLoss",
    "PseudoLabelLoss",
    "ScaledContrastLoss",
    "WeightStatistics",
    "adameow_contrast",
    "adjacency_bounds",
    "bootstrap",
    "bpr",
    "cca_ssg",
    "clustering_kl",
    "contrast_vectors",
    "decoupled_contrastive",
    "dmon_loss",
    "gcn_bounds",
    "guided_negatives",
    "in_batch_info_nce",
    "influence_contrast",
    "info_nce",
    "lightgcl_contrast",
    "link_adversarial",
    "link_bce",
    "link_bpr",
    "link_info_nce",
    "mann_whitney",
    "matryoshka",
    "meow_contrast",
    "mv_dhel",
    "mv_info_nce",
    "node_compactness",
    "pamc",
    "pot",
    "progcl_contrast",
    "prototype_contrast",
    "prototype_density",
    "pseudo_label_loss",
    "scaled_contrast",
    "spectral_modularity",
    "student_t",
    "target_distribution",
]
