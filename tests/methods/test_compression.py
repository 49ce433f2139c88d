"""Recommenders whose users and items share rows: training, lists, later users, files, resumed trainings, errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from graphrep.data import Interactions
from graphrep.errors import GraphrepError, IndexRangeError, ShapeError, UnknownNameError
from graphrep.methods import MF, GraphHash, LightGCL, LightGCN, SimGCL
from graphrep.nn import InteractionEncoder
from graphrep.train import Callback, EpochLog, Interrupted

COMPRESSIONS = ("graph", "double-graph", "modulo", "frequency", "double", "lsh")
SETTINGS: dict[str, Any] = {"dim": 4, "epochs": 3, "batch_size": 64, "validation": None, "lr": 0.05}


def seen(blocks: int = 6, size: int = 5) -> Interactions:
    """Users of a block with most of its items; a last user and a last item without any."""
    at = torch.arange(blocks * size)
    pairs = torch.cartesian_prod(at, at)
    pairs = pairs[(pairs[:, 0] // size == pairs[:, 1] // size) & ((pairs.sum(1) % 4) > 0)].t()
    return Interactions(*pairs, num_users=blocks * size + 1, num_items=blocks * size + 1)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("method", [MF, LightGCN, LightGCL, SimGCL])
def test_train_recommend_save_and_fold_in(method: Any, compression: str, tmp_path: Path) -> None:
    data = seen()
    model = method(**SETTINGS, compression=compression, compression_rows=0.6).fit(data)
    hashes = GraphHash(method=compression, target_size=0.6, seed=model.seed)
    maps = hashes.fit(data)
    module = model.module_
    assert torch.equal(module.user_map, maps[0])
    assert torch.equal(module.item_map, maps[1])
    assert (len(module.user_embedding), len(module.item_embedding)) == hashes.num_rows_
    assert sum(hashes.num_rows_) <= 0.6 * 62
    assert model.user_embedding_.shape == model.item_embedding_.shape == (31, 4)
    assert bool(torch.isfinite(model.item_embedding_).all())
    model.save(tmp_path / "model")
    again = method.load(tmp_path / "model")
    assert torch.equal(again.module_.user_embedding, module.user_embedding)
    later = Interactions([0, 0, 1], [0, 1, 7], num_items=31)
    for left, right in zip(model.recommend(k=5), again.recommend(k=5), strict=True):
        assert torch.equal(left, right)
    assert torch.equal(model.fold_in(later), again.fold_in(later))
    assert again.recommend_for(later, 3)[0].shape == (2, 3)
    assert (again.compression, again.compression_rows) == (compression, 0.6)


def test_without_propagation_members_of_a_row_are_equal() -> None:
    model = MF(**SETTINGS, compression="graph", compression_rows=0.6).fit(seen())
    rows = model.module_.user_map
    for row in rows.unique():
        members = model.user_embedding_[rows == row]
        assert bool((members == members[0]).all())
    assert len(model.user_embedding_.unique(dim=0)) == len(rows.unique())


def test_gradients_reach_shared_rows_as_sums() -> None:
    module = InteractionEncoder(3, 2, dim=2, num_layers=0).share_rows(
        torch.tensor([0, 1, 0]), torch.tensor([[0, 1], [1, 2]])
    )
    users, items = module.tables()
    assert torch.equal(users, module.user_embedding[[0, 1, 0]])
    assert torch.equal(items, module.item_embedding[[0, 1]] + module.item_embedding[[1, 2]])
    (users.sum() + items.sum()).backward()
    assert module.user_embedding.grad is not None
    assert module.item_embedding.grad is not None
    assert module.user_embedding.grad[:, 0].tolist() == [2.0, 1.0]
    assert module.item_embedding.grad[:, 0].tolist() == [1.0, 2.0, 1.0]
    assert set(module.state_dict()) == {"user_embedding", "item_embedding", "user_map", "item_map"}
    assert set(InteractionEncoder(3, 2).state_dict()) == {"user_embedding", "item_embedding"}
    assert module.double().user_map.dtype == torch.int64


def test_held_out_pairs_are_not_looked_at() -> None:
    """Clusters come from the pairs that are trained on alone."""
    split = seen().split(val=0.3, test=0.3, seed=1)
    assert split.parts == ("train", "val", "test")
    options: dict[str, Any] = {**SETTINGS, "validation": 0.1, "compression": "graph", "compression_rows": 0.7}
    model = LightGCN(**options).fit(split)
    maps = GraphHash(target_size=0.7).fit(split.csr("train"))
    assert torch.equal(model.module_.user_map, maps[0])


def test_resumed_training_gives_the_same(tmp_path: Path) -> None:
    class Stop(Callback):
        def __init__(self) -> None:
            self.done = 0

        def epoch_done(self, log: EpochLog) -> None:
            self.done = log.epoch

    options: dict[str, Any] = {**SETTINGS, "compression": "double-graph", "compression_rows": 0.8}
    whole = LightGCN(**options).fit(seen())
    stop = Stop()
    with pytest.raises(Interrupted):
        LightGCN(**options).fit(
            seen(), callbacks=[stop], checkpoint=tmp_path / "state", should_stop=lambda: stop.done == 1
        )
    resumed = LightGCN(**options).fit(seen(), checkpoint=tmp_path / "state", resume=True)
    assert torch.equal(whole.user_embedding_, resumed.user_embedding_)


def test_errors() -> None:
    with pytest.raises(UnknownNameError, match='compression is "hash"'):
        MF(**SETTINGS, compression="hash").fit(seen())
    with pytest.raises(GraphrepError, match=r"target_size is 2\.0"):
        MF(**SETTINGS, compression="modulo", compression_rows=2.0).fit(seen())
    module, rows = InteractionEncoder(3, 2), torch.tensor([0, 1, 0])
    with pytest.raises(ShapeError, match="item_map has 3 rows; there are 2 items"):
        module.share_rows(rows, rows)
    with pytest.raises(IndexRangeError, match="map refers to 1"):
        module.share_rows(rows, rows[:2], (1, 2))
