"""Recommendation: steps of LightGCL with the contrast against all users and items, negatives, and full ranking.

`steps` is an epoch on the small sets and a few steps on Gowalla: negatives of its pairs, loss, gradients and Adam for
each batch of 4,096. The rival `plain` is LightGCL's program, written down from its definition; it draws negatives of
its own for their cost, and then takes ours, so that losses and gradients can be compared. Both get the same SVD.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.families import recommend_plain as plain
from benchmarks.ratings import Ratings, load_ratings
from benchmarks.reference import all_agree, relative_difference
from benchmarks.registry import Case, Method

__all__ = ["cases"]

SEED = 7
WIDTH = 64
KS = (20, 40)
SIZES = {"tiny": "tiny", "lastfm": "small", "gowalla": "medium"}
STEPS = {"tiny": None, "lastfm": None, "gowalla": 3}  # None: a whole epoch
BATCH = {"tiny": 512, "lastfm": 4096, "gowalla": 4096}
Result = tuple[Tensor, ...]


@dataclass(frozen=True)
class RecommendInputs:
    """Interactions and the settings of one case."""

    graph: Ratings
    batch_size: int
    steps: int | None

    @cached_property
    def estimator(self) -> Any:
        """LightGCL with its published settings for Gowalla and Yelp."""
        from graphrep.methods import LightGCL

        return LightGCL(WIDTH, batch_size=self.batch_size, validation=None, seed=SEED)

    @cached_property
    def task(self) -> Any:
        """Our task with a prepared module; where only some steps are asked for, on as many pairs."""
        from graphrep.methods._recommend_data import training_data
        from graphrep.train import seeded

        data, estimator = self.graph.interactions, self.estimator
        found = training_data(data, None, True, SEED)
        with seeded(SEED):
            module = estimator._module(data.num_users, data.num_items)
        module.prepare(found.train)
        task = estimator._task(module, found)
        if self.steps is not None:
            chosen = torch.randperm(len(task.users), generator=torch.Generator().manual_seed(SEED))
            chosen = chosen[: self.steps * self.batch_size]
            task.users, task.items = task.users[chosen], task.items[chosen]
        return task

    @cached_property
    def start(self) -> tuple[Tensor, Tensor]:
        """Tables before the first step."""
        return tuple(part.detach().clone() for part in self.task.module.tables())  # type: ignore[return-value]

    @cached_property
    def batches(self) -> list[plain.Batch]:
        """Our pairs with our negatives."""
        return [(b.users, b.pos, b.neg) for b in self.task.batches(1, torch.Generator().manual_seed(SEED))]

    def svd(self) -> tuple[Tensor, Tensor, Tensor]:
        """The factors in our module."""
        module = self.task.module
        scale = module._us.norm(dim=0)
        return module._u, scale, module._v

    @cached_property
    def vectors(self) -> tuple[Tensor, Tensor]:
        """Vectors of users and items to rank by."""
        data, generator = self.graph.interactions, torch.Generator().manual_seed(SEED)
        users = torch.randn(data.num_users, WIDTH, generator=generator)
        return users, torch.randn(data.num_items, WIDTH, generator=generator)


# steps


def _first_gradients(tables: Any, scale: int) -> list[Tensor]:
    """Of the loss times the size of the batch: those of the mean would be too small to compare."""
    return [scale * table.grad.clone() for table in tables]


def _ours(inputs: RecommendInputs) -> Callable[[], Result]:
    task, start = inputs.task, inputs.start
    tables = task.module.user_embedding, task.module.item_embedding

    def run() -> Result:
        for table, value in zip(tables, start, strict=True):
            table.data.copy_(value)
        optimizer = torch.optim.Adam(tables, lr=inputs.estimator.lr, fused=True)
        generator = torch.Generator().manual_seed(SEED)
        losses: list[Tensor] = []
        gradients: list[Tensor] = []
        for batch in task.batches(1, generator):
            loss, _ = task.loss(batch, 1, generator)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            gradients = gradients or _first_gradients(tables, len(batch.users))
            optimizer.step()
            losses.append(loss.detach())
        return torch.stack(losses), *gradients

    return run


def _plain_steps(inputs: RecommendInputs) -> Callable[[], Result]:
    train = inputs.task.train
    known = dict.fromkeys(zip(train.row().tolist(), train.col.tolist(), strict=True), 1.0)
    step = plain.Step(inputs.task.module.adj, inputs.svd(), _settings(inputs), torch.float32)
    pairs, num_items = torch.cat([b[0] for b in inputs.batches]).tolist(), train.num_cols

    def run() -> Result:
        tables = [value.clone().requires_grad_() for value in inputs.start]
        plain.sample_negatives(pairs, known, num_items, np.random.default_rng(SEED))
        optimizer = torch.optim.Adam(tables, lr=inputs.estimator.lr)
        losses: list[Tensor] = []
        gradients: list[Tensor] = []
        for batch in inputs.batches:
            loss = plain.plain_loss(step, *tables, batch)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            gradients = gradients or _first_gradients(tables, len(batch[0]))
            optimizer.step()
            losses.append(loss.detach())
        return torch.stack(losses), *gradients

    return run


def _settings(inputs: RecommendInputs) -> Any:
    """The estimator's settings with the weight of the contrast filled in."""
    estimator = inputs.estimator

    @dataclass(frozen=True)
    class Settings:
        num_layers: int = estimator.num_layers
        temperature: float = estimator.temperature
        cl_weight: float = estimator._weight()
        reg_weight: float = estimator.reg_weight

    return Settings()


def _check_steps(inputs: RecommendInputs, result: Result) -> float:
    """Loss and gradients of the first step in float64, a few rows of logits at a time."""
    step = plain.Step(inputs.task.module.adj, inputs.svd(), _settings(inputs), torch.float64)
    tables = [value.double().requires_grad_() for value in inputs.start]
    first = inputs.batches[0]
    loss, *gradients = plain.loss_by_blocks(step, *tables, first)
    wanted = (loss.reshape(1), *(len(first[0]) * part for part in gradients))
    found = (result[0][:1], *result[1:])
    return max(relative_difference(a, b) for a, b in zip(found, wanted, strict=True))


# negatives


def _our_negatives(inputs: RecommendInputs) -> Callable[[], Result]:
    from graphrep.kernels import uniform_negatives

    train = inputs.graph.interactions.csr("train")
    users = train.row().long()
    return lambda: (uniform_negatives(train, users, seed=SEED)[:, 0],)


def _plain_negatives(inputs: RecommendInputs) -> Callable[[], Result]:
    train = inputs.graph.interactions.csr("train")
    users = train.row().tolist()
    known = dict.fromkeys(zip(users, train.col.tolist(), strict=True), 1.0)
    draw = plain.sample_negatives
    return lambda: (torch.from_numpy(draw(users, known, train.num_cols, np.random.default_rng(SEED))),)


def _met(inputs: RecommendInputs, result: Result) -> float:
    """The share of drawn items that the user met, which must be 0."""
    train = inputs.graph.interactions.csr("train")
    known = train.row().long() * train.num_cols + train.col.long()
    drawn = train.row().long() * train.num_cols + result[0]
    outside = (result[0] < 0) | (result[0] >= train.num_cols)
    return float((torch.isin(drawn, known) | outside).double().mean())


def _both_unmet(inputs: RecommendInputs, ours: Result, theirs: Result) -> float:
    return max(_met(inputs, ours), _met(inputs, theirs))


# evaluation


def _our_ranking(inputs: RecommendInputs) -> Callable[[], Result]:
    from graphrep.eval import topk_metrics

    data = inputs.graph.interactions
    train, test = data.csr("train"), data.csr("test")

    def run() -> Result:
        found = topk_metrics(*inputs.vectors, train, test, ks=KS, block_size=256, average="official")
        return (torch.tensor([value for k in KS for value in (found.recall[k], found.ndcg[k])]),)

    return run


def _plain_ranking(inputs: RecommendInputs) -> Callable[[], Result]:
    data = inputs.graph.interactions
    train, test = data.to_scipy("train").tocsr(), data.to_scipy("test").tocsr()
    wanted = [test.indices[a:b].tolist() for a, b in zip(test.indptr[:-1], test.indptr[1:], strict=True)]
    return lambda: (plain.evaluate(*inputs.vectors, train, wanted, KS),)


def _check_ranking(inputs: RecommendInputs, result: Result) -> float:
    """Float64 scores, every item sorted, hits counted with dense masks of 256 users."""
    data = inputs.graph.interactions
    users, items = (part.double() for part in inputs.vectors)
    train, test = data.to_scipy("train").tocsr(), data.to_scipy("test").tocsr()
    discount = 1 / torch.log2(torch.arange(2, max(KS) + 2).double())
    means = []
    for start in range(0, len(users), 256):
        stop = min(start + 256, len(users))
        scores = users[start:stop] @ items.t()
        scores[torch.from_numpy(train[start:stop].toarray() > 0)] = -torch.inf
        wanted = torch.from_numpy(test[start:stop].toarray() > 0)
        best = scores.argsort(dim=1, descending=True, stable=True)[:, : max(KS)]
        hit, size = wanted.gather(1, best).double(), wanted.sum(1)
        kept = size > 0
        rows = []
        for k in KS:
            ideal = torch.stack([discount[: min(k, int(n))].sum() for n in size])
            rows += [hit[:, :k].sum(1) / size, (hit[:, :k] * discount[:k]).sum(1) / ideal]
        means.append(torch.stack(rows)[:, kept].mean(1))
    return relative_difference(1000 * result[0], 1000 * torch.stack(means).mean(0))


# cases


def _case(key: str, op: str) -> Case:
    parts: dict[str, tuple[Any, Any, Any, Any, float]] = {
        # Adam divides by the gradient's size, so that later losses carry the rounding of small gradients.
        "steps": (_ours, _plain_steps, _check_steps, all_agree, 2e-3),
        "negatives": (_our_negatives, _plain_negatives, _met, _both_unmet, 1e-12),
        "evaluation": (_our_ranking, _plain_ranking, _check_ranking, _same_scores, 1e-3),
    }
    ours, rival, check, agree, tolerance = parts[op]
    steps = STEPS[key] if op == "steps" else None
    count = "" if op != "steps" else " (epoch)" if steps is None else f" ({steps} steps)"
    return Case(
        name=f"{op}/{key}",
        family="recommend",
        size=SIZES[key],
        inputs=lambda: RecommendInputs(load_ratings(key), BATCH[key], steps),
        ours=Method(ours, compiles=True),
        rivals={"plain": Method(rival, note="LightGCL's program from its definition: dense logits, Python loops")},
        check=check,
        agree=agree,
        tolerance=tolerance,
        params={"graph": key, "op": op + count, "width": WIDTH},
        tags=frozenset({"memory"}) if op != "negatives" else frozenset(),
    )


def _same_scores(_: RecommendInputs, ours: Result, theirs: Result) -> float:
    """Near-ties that float32 settles in either way move a score by less than the tolerance."""
    return relative_difference(1000 * theirs[0], 1000 * ours[0])


def cases() -> list[Case]:
    """Steps, negatives and full ranking on a generated set, LastFM and Gowalla."""
    return [_case(key, op) for key in SIZES for op in ("steps", "negatives", "evaluation")]
