"""The link predictors."""

from __future__ import annotations

from graphrep.registry._entry import Entry

__all__ = ["LINKS"]

_NCN = """@inproceedings{wang2024neural,
  title     = {Neural Common Neighbor with Completion for Link Prediction},
  author    = {Wang, Xiyuan and Yang, Haotong and Zhang, Muhan},
  booktitle = {The Twelfth International Conference on Learning Representations},
  year      = {2024}
}"""

LINKS: dict[str, Entry] = {
    "ncn": Entry(
        target="graphrep.methods.ncn:NCN",
        task="linkpred",
        summary="scores a pair by its ends and by the vectors of their common neighbours",
        bibtex=_NCN,
    ),
    "ncnc": Entry(
        target="graphrep.methods.ncnc:NCNC",
        task="linkpred",
        summary="ncn that also counts neighbours of one end alone, by the chance of their missing link",
        bibtex=_NCN,
    ),
}
