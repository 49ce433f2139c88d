"""Two coordinates and a colour per node: PCA or UMAP, groups by label or degree; packed for the page, or as PNG."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphrep.cli.report.figure import SOFT, new_figure, save_figure
from graphrep.errors import GraphrepError, MissingExtraError, UnknownNameError

__all__ = ["PALETTE", "Face", "Picture", "make_picture", "pca", "save_png"]

# Ten colours chosen to stay apart under the common colour deficiencies (M. A. Petroff, arXiv 2107.02270).
PALETTE = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip
DEGREE_RAMP = ("#00224e", "#35456c", "#666970", "#948e77", "#c8b866", "#fee838")  # cividis, dark to light
MAX_POINTS = 200_000
MAX_GROUPS = 60
_ROWS = 16_384
_AXES = {"pca": "first two principal components of the unit vectors", "tsne": "t-SNE (cosine)", "umap": "UMAP (cosine)"}
_PERPLEXITY, _FEWEST = 30.0, 10  # of t-SNE, which has nothing to show of fewer points

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Face:
    """Another way to colour the points of a picture.

    Attributes:
        what: what a group is.
        group: (N,) group of each node.
        groups: names of the groups.
        colors: a colour per group.
        centers: whether to write the groups' names at their centres.
    """

    what: str
    group: Array
    groups: Sequence[str]
    colors: Sequence[str]
    centers: bool = False

    @classmethod
    def of_classes(cls, what: str, y: Array, names: Sequence[str]) -> Face:
        """A colour per class, in the order of the names; of more than 60 classes the rarest share one.

        Args:
            what: what a class is.
            y: (N,) places in `names`, -1 unknown.
            names: of the classes.

        Example:
            >>> Face.of_classes("class", np.array([0, 2, -1]), ["2", "7", "10"]).groups
            ['2', '10', 'unknown']
        """
        place, numbers, colors = _groups(np.where(y < 0, len(names), y), None)
        every = [*names, "unknown"]
        groups = [every[int(number)] if number.isdigit() else number for number in numbers]
        return cls(what, place, groups, colors, len(groups) > 1)

    @classmethod
    def of_shares(cls, what: str, shares: Array) -> Face:
        """Numbers between 0 and 1 in five steps from dark (small) to light; NaN is unknown.

        Example:
            >>> Face.of_shares("confidence", np.array([0.1, 0.95, np.nan])).groups
            ['0 to 0.2', '0.8 to 1', 'unknown']
        """
        steps = np.clip((np.nan_to_num(shares, nan=2.0) * 5).astype(int), 0, 4)
        steps[np.isnan(shares)] = 5
        present, group = np.unique(steps, return_inverse=True)
        names = [*(f"{k / 5:g} to {(k + 1) / 5:g}" for k in range(5)), "unknown"]
        colors = [*DEGREE_RAMP[:1], *DEGREE_RAMP[2:], PALETTE[3]]
        return cls(what, group.reshape(-1), [names[k] for k in present], [colors[k] for k in present])


@dataclass(frozen=True)
class Picture:
    """Points of a picture in drawing order.

    Attributes:
        xy: (M, 2) coordinates in [0, 1].
        group: (M,) index of the group that colours each point.
        groups: names of the groups.
        colors: a colour per group.
        names: (M,) node names.
        what: what a group is (``class``, ``cluster``, ``degree``).
        centers: whether to write the groups' names at their centres.
        note: one sentence on what is drawn.
        faces: other ways to colour the same points, in drawing order.
    """

    xy: Array
    group: Array
    groups: Sequence[str]
    colors: Sequence[str]
    names: Sequence[Any]
    what: str
    centers: bool
    note: str
    faces: Sequence[Face] = ()

    def middle(self) -> Array:
        """(groups, 2) median position of each group's points."""
        return _middle(self.xy, self.group, len(self.groups))

    def packed(self) -> dict[str, Any]:
        """The points as JSON-ready values; coordinates take two bytes each."""
        fixed = np.round(self.xy * 65535).astype("<u2")
        plain = all(isinstance(name, int) for name in self.names)
        first = Face(self.what, self.group, self.groups, self.colors, self.centers)
        return {
            "xy": base64.b64encode(fixed.tobytes()).decode(),
            "ids" if plain else "names": list(self.names) if plain else [str(name) for name in self.names],
            "faces": [_packed_face(self.xy, face) for face in (first, *self.faces)],
        }


def _middle(xy: Array, group: Array, count: int) -> Array:
    return np.stack([np.median(xy[group == g], axis=0) for g in range(count)])


def _packed_face(xy: Array, face: Face) -> dict[str, Any]:
    count = len(face.groups)
    return {
        "group": base64.b64encode(face.group.astype(np.uint8).tobytes()).decode(),
        "groups": list(face.groups),
        "colors": list(face.colors),
        "sizes": np.bincount(face.group, minlength=count).tolist(),
        "centers": np.round(_middle(xy, face.group, count) * 65535).astype(int).tolist() if face.centers else None,
        "what": face.what,
    }


def pca(z: Array) -> Array:
    """(N, 2) scores on the two leading principal axes of the unit rows of `z`; signs fixed, memory d x d.

    Example:
        >>> pca(np.eye(3, dtype=np.float32)).shape
        (3, 2)
    """
    n, d = z.shape
    total, second = np.zeros(d), np.zeros((d, d))
    for start in range(0, n, _ROWS):
        rows = _unit(z[start : start + _ROWS])
        total += rows.sum(0)
        second += rows.T @ rows
    mean = total / max(n, 1)
    _, axes = np.linalg.eigh(second / max(n, 1) - np.outer(mean, mean))
    axes = axes[:, ::-1][:, :2]
    axes = axes * np.where(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])] < 0, -1.0, 1.0)
    flat = np.concatenate([(_unit(z[s : s + _ROWS]) - mean) @ axes for s in range(0, n, _ROWS)] or [np.zeros((0, 2))])
    return np.pad(flat, ((0, 0), (0, 2 - flat.shape[1])))


def _unit(rows: Array) -> Array:
    rows = rows.astype(np.float64)
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norm > 0, norm, 1.0)


def _umap(z: Array, seed: int) -> Array:
    try:
        import umap
    except ImportError as error:
        raise MissingExtraError(
            "A UMAP picture needs umap-learn, which is not installed.", hint='pip install "graphrep[viz]", or pca'
        ) from error
    return np.asarray(umap.UMAP(n_components=2, metric="cosine", random_state=seed).fit_transform(z))


def _tsne(z: Array, seed: int) -> Array:
    from sklearn.manifold import TSNE

    rows = _unit(z)
    rows = np.pad(rows, ((0, 0), (0, max(0, 2 - rows.shape[1]))))
    perplexity = min(_PERPLEXITY, (len(rows) - 1) / 3)
    if len(rows) < _FEWEST:
        return pca(z)
    return np.asarray(TSNE(perplexity=perplexity, init="pca", random_state=seed, n_jobs=1).fit_transform(rows))


def make_picture(
    z: Array,
    names: Sequence[Any],
    labels: Array | None = None,
    degree: Array | None = None,
    *,
    what: str = "class",
    projection: str = "pca",
    seed: int = 0,
    drawn: str = "",
    faces: Sequence[Face] = (),
) -> Picture | None:
    """A picture of the embedding `z` (N, d); None when there is nothing to draw.

    Args:
        z: the vectors.
        names: of the nodes.
        labels: (N,) groups.
        degree: (N,) number of neighbours.
        what: what a label is.
        projection: ``pca``, ``tsne`` (minutes above some 10 000 nodes) or ``umap``.
        seed: of the drawing order, of t-SNE and of UMAP.
        drawn: what the vectors are; goes into the note.
        faces: other ways to colour the nodes, in their order.

    Above 200 000 nodes a seeded sample is drawn, and the note says so. Points are shuffled so that no group is drawn
    on top of the others. Without `labels` the colour is the number of neighbours.

    Raises:
        UnknownNameError: no such projection.
        MissingExtraError: ``umap`` without umap-learn.
    """
    if projection not in _AXES:
        raise UnknownNameError(f'Unknown projection "{projection}".', hint="pca, tsne or umap")
    if not len(z):
        return None
    order = np.random.default_rng(seed).permutation(len(z))[:MAX_POINTS]
    flat = pca(z)[order] if projection == "pca" else {"umap": _umap, "tsne": _tsne}[projection](z[order], seed)
    group, groups, colors = _groups(
        None if labels is None else labels[order], None if degree is None else degree[order]
    )
    shown = f"{len(order):,} of {len(z):,} nodes".replace(",", " ") if len(order) < len(z) else "All nodes"
    axes = _AXES[projection] + (f" of {drawn}" if drawn else "")
    by = what if labels is not None else "number of neighbours"
    repeated = (
        f" Colours repeat after {len(PALETTE)} groups." if labels is not None and len(groups) > len(PALETTE) else ""
    )
    return Picture(
        xy=_to_unit_square(flat),
        group=group,
        groups=groups,
        colors=colors,
        names=[names[i] for i in order],
        what=what if labels is not None else "degree",
        centers=labels is not None and len(groups) > 1,
        note=f"{shown}: {axes}, coloured by {by}.{repeated}",
        faces=[dataclasses.replace(face, group=face.group[order]) for face in faces],
    )


def _to_unit_square(flat: Array) -> Array:
    """Coordinates in [0, 1]; the outermost 0.1 % on each side is drawn at the edge so that outliers cost no room."""
    low, high = np.quantile(flat, [0.001, 0.999], axis=0) if len(flat) > 1000 else (flat.min(0), flat.max(0))
    span = np.where(high > low, high - low, 1.0)
    middle = np.where(high > low, 0.0, 0.5)
    inside: Array = np.clip((flat - low) / span + middle, 0.0, 1.0)
    return inside


def _groups(labels: Array | None, degree: Array | None) -> tuple[Array, list[str], list[str]]:
    """Group of each point, names of the groups, and their colours."""
    if labels is not None:
        values, index = np.unique(labels, return_inverse=True)
        if len(values) > MAX_GROUPS:
            keep = np.argsort(-np.bincount(index), kind="stable")[: MAX_GROUPS - 1]
            place = np.full(len(values), MAX_GROUPS - 1)
            place[np.sort(keep)] = np.arange(MAX_GROUPS - 1)
            index, names = place[index], [*(str(v) for v in values[np.sort(keep)]), "other"]
        else:
            names = [str(v) for v in values]
        return index.reshape(-1), names, [PALETTE[g % len(PALETTE)] for g in range(len(names))]
    if degree is None:
        raise GraphrepError("A picture needs labels or degrees to colour by.", hint="pass degree=")
    bounds = np.array([1, 2, 4, 11, 101])
    names = ["0", "1", "2-3", "4-10", "11-100", "more than 100"]
    raw = np.searchsorted(bounds, degree, side="right")
    present, index = np.unique(raw, return_inverse=True)
    ramp = np.linspace(0, len(DEGREE_RAMP) - 1, max(len(present), 2)).round().astype(int)  # far apart, also if few
    return index.reshape(-1), [names[p] for p in present], [DEGREE_RAMP[i] for i in ramp[: len(present)]]


def save_png(path: Path, picture: Picture) -> None:
    """Draws the picture with matplotlib.

    Raises:
        MissingExtraError: matplotlib is not installed.
        GraphrepError: no format with this ending.
    """
    figure = new_figure(10, 7.5)
    axes = figure.subplots()
    axes.set_axis_off()
    colors = np.array(picture.colors)[picture.group]
    size = float(np.clip(20_000 / len(picture.xy), 0.2, 22))
    axes.scatter(picture.xy[:, 0], picture.xy[:, 1], c=colors, s=size, alpha=0.75 if size > 2 else 0.5, linewidths=0)
    if picture.centers:
        for name, (x, y) in zip(picture.groups, picture.middle(), strict=True):
            box = {"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 1.5}
            axes.text(x, y, name, ha="center", va="center", weight="bold", bbox=box)
    else:
        for name, color in zip(picture.groups, picture.colors, strict=True):
            axes.scatter([], [], c=color, s=30, label=name)
        axes.legend(title=picture.what, frameon=False)
    axes.set_title(picture.note, fontsize=9, color=SOFT)
    save_figure(path, figure)
