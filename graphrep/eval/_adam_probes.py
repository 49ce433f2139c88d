"""The probes `gca` (Zhu et al., WWW 2021) and `dmgi` (Park et al., AAAI 2020; HeCo, MEOW): a linear layer and Adam."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphrep.errors import GraphrepError, MissingLabelsError, NonFiniteError
from graphrep.eval._arrays import as_labels, choose, drop_unlabelled
from graphrep.eval._linear_layer import Best, Part, f1_batch, logits_of, one_vs_rest_auc, train_layers
from graphrep.eval._probe_result import ProbeResult, ProbeRow
from graphrep.eval._splits import check_seeds, given_parts, random_split

__all__ = ["SELECTIONS", "dmgi_probe", "gca_probe", "require_validation"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
SELECTIONS = ("validation", "last", "test (published)")
_GCA_STEPS, _GCA_EVERY, _DMGI_STEPS = 3000, 20, 200


@dataclass(frozen=True)
class _Data:
    """Rows and classes on the device: `x` (N, d) float32, `y` (N,) with -1 for unlabelled nodes, `num_classes`."""

    x: Tensor
    y: Tensor
    known: Bools
    num_classes: int

    @classmethod
    def of(cls, z: Floats, y: Any, device: Any) -> _Data:
        """From rows (N, d) and labels as :func:`~graphrep.eval.linear_probe` takes them; classes are renumbered.

        Raises:
            NonFiniteError: a value is beyond float32.
        """
        labels = as_labels(y, "y")
        kept = drop_unlabelled(labels)
        classes, encoded = np.unique(labels[kept], return_inverse=True)
        found = np.full(len(labels), -1, dtype=np.int64)
        found[kept] = encoded
        x = torch.as_tensor(z, dtype=torch.float32, device=device)
        if not bool(torch.isfinite(x).all()):
            raise NonFiniteError(
                "z holds values beyond the range of float32, in which this probe trains.", hint="z / 1e6"
            )
        return cls(x, torch.from_numpy(found).to(device), labels != -1, len(classes))

    def part(self, ids: Sequence[Ints]) -> Part:
        """Rows of one part, given once for all repeats or once for each."""
        index = torch.from_numpy(ids[0] if len(ids) == 1 else np.stack(ids)).to(self.x.device)
        return Part(self.x[index], self.y[index])


def gca_probe(
    z: Floats, y: Any, device: Any, *, split: Any, seeds: Any, selection: str | None, steps: int | None
) -> ProbeResult:
    """Raw rows, lr 0.01, no weight decay, a look at the validation micro-F1 every 20 steps."""
    data = _Data.of(z, y, device)
    used = check_seeds(seeds, range(3))
    splits = [given_parts(split, data.known)] if split is not None else [_tenths(data.known, seed) for seed in used]
    train, val = (data.part([parts[place] for parts in splits]) for place in range(2))
    chosen = _selection(selection, bool(val.y.numel()), given=split is not None)
    length = _check_steps(steps, _GCA_STEPS)
    if chosen != "last" and length < _GCA_EVERY:
        raise GraphrepError(f"steps must reach the first look at {_GCA_EVERY}; got {length}.", hint="selection='last'")
    judged = {"validation": val, "last": None}[chosen] if chosen != SELECTIONS[2] else data.part([splits[0][2]])
    (best,) = train_layers(
        train,
        judged,
        num_classes=data.num_classes,
        seeds=used,
        steps=length,
        every=_GCA_EVERY,
        lr=0.01,
        weight_decay=0.0,
        scores=("micro",),
    )
    scores = _judge_each(best, data, [parts[2] for parts in splits])
    row = ProbeRow.of(
        None if split is not None else 0.1,
        scores["micro"],
        scores["macro"],
        [],
        num_train=len(splits[0][0]),
        num_val=len(splits[0][1]),
        num_test=len(splits[0][2]),
        best_step=best.step.tolist(),
    )
    said = {
        "validation": "validation micro-F1",
        "last": "nothing (last step)",
        "test (published)": "TEST micro-F1 (published)",
    }
    over = "classifier initialisations" if split is not None else "data splits"
    return ProbeResult.of(
        "gca",
        "torch",
        [row],
        seeds=used,
        multilabel=None,
        num_classes=data.num_classes,
        std_over=over,
        selection=said[chosen],
    )


def dmgi_probe(
    z: Floats,
    y: Any,
    device: Any,
    *,
    split: Any,
    seeds: Any,
    lr: float | None,
    weight_decay: float | None,
    steps: int | None,
) -> ProbeResult:
    """Raw rows, a look after every step, the best step for each score on its own, 50 initialisations."""
    data = _Data.of(z, y, device)
    parts = require_validation(split, data.known, "dmgi")
    used = check_seeds(seeds, range(50))
    rate, decay = (0.01 if lr is None else float(lr)), (0.0 if weight_decay is None else float(weight_decay))
    if not 0 < rate < np.inf or not 0 <= decay < np.inf:
        raise GraphrepError(
            f"lr must be positive and weight_decay not negative; got {rate} and {decay}.",
            hint="lr=0.01, weight_decay=0.0",
        )
    train, val, test = (data.part([part]) for part in parts)
    micro, macro = train_layers(
        train,
        val,
        num_classes=data.num_classes,
        seeds=used,
        steps=_check_steps(steps, _DMGI_STEPS),
        every=1,
        lr=rate,
        weight_decay=decay,
        scores=("micro", "macro"),
    )
    found = {name: _judge(best, test, data.num_classes) for name, best in (("micro", micro), ("macro", macro))}
    row = ProbeRow.of(
        None,
        found["micro"]["micro"].tolist(),
        found["macro"]["macro"].tolist(),
        [],
        num_train=len(parts[0]),
        num_val=len(parts[1]),
        num_test=len(parts[2]),
        auc=found["micro"]["auc"].tolist(),
        best_step=micro.step.tolist(),
    )
    return ProbeResult.of(
        "dmgi",
        "torch",
        [row],
        seeds=used,
        multilabel=None,
        num_classes=data.num_classes,
        std_over="classifier initialisations",
        selection="validation, each score on its own (AUC: micro-F1)",
    )


def _judge_each(best: Best, data: _Data, tests: Sequence[Ints]) -> dict[str, list[float]]:
    """Test scores of every repeat, one repeat at a time: their test parts side by side would be R times z."""
    found: dict[str, list[float]] = {"micro": [], "macro": []}
    for repeat in range(len(best.step)):
        test = data.part([tests[min(repeat, len(tests) - 1)]])
        logits = logits_of(test.x, best.weight[repeat : repeat + 1], best.bias[repeat : repeat + 1])
        for name, value in f1_batch(test.y, logits.argmax(-1), data.num_classes).items():
            found[name] += value.tolist()
    return found


def _judge(best: Best, test: Part, num_classes: int) -> dict[str, Tensor]:
    logits = logits_of(test.x, best.weight, best.bias)
    scores = f1_batch(test.y, logits.argmax(-1), num_classes)
    return {**scores, "auc": one_vs_rest_auc(test.y, logits.softmax(-1))}


def require_validation(split: Any, known: Bools, protocol: str) -> tuple[Ints, Ints, Ints]:
    """The given split, with a validation part.

    Raises:
        MissingLabelsError: no split, or no labelled validation node.
    """
    if split is None:
        raise MissingLabelsError(f"protocol {protocol} needs a split.", hint="split=(train_idx, val_idx, test_idx)")
    parts = given_parts(split, known)
    if not parts[1].size:
        raise MissingLabelsError(
            f"protocol {protocol} chooses by a validation part, and the split has none.",
            hint="split=(train_idx, val_idx, test_idx)",
        )
    return parts


def _selection(asked: str | None, has_val: bool, *, given: bool) -> str:
    """What chooses the step; the test part only where it was asked for and the published code did so."""
    if asked is None:
        return "validation" if has_val else "last"
    choose(asked, SELECTIONS, "selection")
    if asked == "validation" and not has_val:
        raise MissingLabelsError("selection='validation' needs a validation part.", hint="split=(train, val, test)")
    if asked == "test (published)" and (has_val or not given):
        raise GraphrepError(
            "selection='test (published)' is for splits without a validation part; this one has it.",
            hint="selection='validation'",
        )
    return asked


def _tenths(known: Bools, seed: int) -> tuple[Ints, Ints, Ints]:
    """10 % train, 10 % validation, 80 % test of the labelled nodes."""
    nodes = np.flatnonzero(known)
    train, rest = random_split(len(nodes), 0.1, seed)
    val, test = rest[: len(train)], rest[len(train) :]
    return nodes[train], nodes[val], nodes[test]


def _check_steps(steps: int | None, default: int) -> int:
    found = default if steps is None else int(steps)
    if found < 1:
        raise GraphrepError(f"steps must be at least 1; got {steps}.", hint=f"steps={default}")
    return found
