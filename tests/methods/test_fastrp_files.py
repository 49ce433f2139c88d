"""FastRP on disk: saved models and checkpoints."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest
import torch
from fastrp_cases import random_graph

from graphrep.data._tensor_files import pack_ids, read_tensors, unpack_ids, write_tensors
from graphrep.errors import CheckpointMismatchError, FileFormatError, GraphrepError
from graphrep.kernels import CSR
from graphrep.methods import EdgeDelta, FastRP

# saved models


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dtype": torch.bfloat16, "weights": [0, 0.5], "seed": -3},
        {"standardize": True, "density": "auto", "storage": torch.bfloat16},
        {"feature_ratio": 0.5, "feature_scale": "standard", "keep_powers": True, "dtype": torch.float64},
        {"concat": True, "rng": "gds"},
    ],
    ids=str,
)
def test_a_saved_model_goes_on_as_before(tmp_path, options):
    x = torch.randn(80, 4, generator=torch.Generator().manual_seed(0))
    graph = random_graph(80, 600, weighted=True, x=x, ids=[f"näme {i}\n" for i in range(80)])
    model = FastRP(dim=12, **options).fit(graph)
    model.save(tmp_path / "model")
    loaded = FastRP.load(tmp_path / "model")
    assert torch.equal(loaded.embedding_, model.embedding_)
    assert loaded.embedding_.dtype == model.embedding_.dtype
    assert loaded.ids_.tolist() == model.ids_.tolist()
    assert {**loaded.get_params(), "dtype": None, "weights": None, "storage": None} == {
        **model.get_params(),
        "dtype": None,
        "weights": None,
        "storage": None,
    }
    assert torch.equal(loaded.projection_, model.projection_)
    assert torch.equal(loaded.embed(graph), model.embed(graph))
    delta = EdgeDelta(added=torch.tensor([[1], [2]]), added_weight=torch.ones(1))
    assert torch.equal(loaded.update(delta).embedding_, model.update(delta).embedding_)


def test_sparse_features_csr_and_init_are_saved(tmp_path):
    dense = torch.eye(40) * 2
    graph = random_graph(40, 300, x=dense.to_sparse_csr())
    model = FastRP(dim=8, feature_ratio=1.0).fit(graph)
    assert torch.equal(model.embedding_, FastRP(dim=8, feature_ratio=1.0).fit_transform(graph.replace(x=dense)))
    model.save(tmp_path / "a")
    assert torch.equal(FastRP.load(tmp_path / "a").projection_, model.projection_)
    matrix = CSR.from_edge_index(torch.tensor([[0, 1], [1, 0]]), torch.tensor([2.0, 3.0]))
    bare = FastRP(dim=3).fit(matrix, init=torch.ones(2, 3))
    bare.save(tmp_path / "b")
    assert torch.equal(FastRP.load(tmp_path / "b").projection_, bare.projection_)


def test_without_the_graph_only_vectors_are_saved(tmp_path):
    graph = random_graph(40, 300)
    FastRP(dim=8).fit(graph).save(tmp_path / "small", graph=False)
    loaded = FastRP.load(tmp_path / "small")
    assert torch.equal(loaded.embed(graph), loaded.embedding_)
    with pytest.raises(GraphrepError, match="saved without its graph"):
        loaded.update(EdgeDelta())
    settings = tomllib.loads((tmp_path / "small" / "model.toml").read_text())
    assert settings["params"]["dtype"] == "float32"
    assert "storage" not in settings["params"]


def test_load_errors(tmp_path):
    with pytest.raises(FileFormatError, match="cannot be read as a safetensors file"):
        FastRP.load(tmp_path / "nothing")
    write_tensors(tmp_path / "model.safetensors", {"a": torch.ones(2)}, {})
    with pytest.raises(FileFormatError, match="does not hold a saved FastRP"):
        FastRP.load(tmp_path)
    FastRP(dim=4).fit(random_graph(9, 50)).save(tmp_path)
    (tmp_path / "model.toml").write_text("[params\n")
    with pytest.raises(FileFormatError, match=r"model\.toml cannot be read"):
        FastRP.load(tmp_path)
    with pytest.raises(GraphrepError, match="not fitted"):
        FastRP().save(tmp_path)


def test_tensor_files_are_safetensors(tmp_path):
    from safetensors.torch import load_file

    tensors = {
        "half": torch.randn(3, 2).bfloat16(),
        "empty": torch.empty(0, 4),
        "scalar": torch.tensor(3),
        "bytes": torch.arange(5, dtype=torch.uint8),
    }
    write_tensors(tmp_path / "t.safetensors", tensors, {"note": "ü"})
    for found in (load_file(tmp_path / "t.safetensors"), read_tensors(tmp_path / "t.safetensors")[0]):
        assert found.keys() == tensors.keys()
        assert all(torch.equal(found[key], tensors[key]) for key in tensors)
    assert read_tensors(tmp_path / "t.safetensors")[1] == {"note": "ü"}
    words = np.array(["", "a\nb", "\U0001f600"])
    assert unpack_ids(pack_ids(words)).tolist() == words.tolist()
    assert unpack_ids(pack_ids(None)) is None


# checkpoints


class _StopError(Exception):
    pass


def interrupt_in(power):
    def progress(at, done, total):
        if at == power:
            raise _StopError

    return progress


@pytest.mark.parametrize(
    "options",
    [
        {"weights": (0, 0, 1, 2)},
        {"weights": (1, 1, 1, 1), "self_weight": 0.5, "degree_exponent": -0.5},
        {"weights": (1, 1, 0, 1), "storage": torch.bfloat16, "standardize": True},
        {"weights": (0, 0, 1, 2), "density": "gaussian", "dtype": torch.float64},
    ],
    ids=str,
)
@pytest.mark.parametrize("power", [1, 2, 3, 4])
def test_an_interrupted_run_resumes(tmp_path, options, power):
    graph, path = random_graph(60, 500, weighted=True), tmp_path / "state.safetensors"
    want = FastRP(dim=8, **options).fit_transform(graph)
    with pytest.raises(_StopError):
        FastRP(dim=8, **options).fit(graph, checkpoint=path, progress=interrupt_in(power))
    assert path.exists() == (power > 1)
    powers = []
    model = FastRP(dim=8, **options).fit(graph, checkpoint=path, resume=True, progress=lambda at, *_: powers.append(at))
    assert torch.equal(model.embedding_, want)
    assert min(powers) == power  # nothing was computed twice
    change = EdgeDelta(added=torch.tensor([[1], [2]]), added_weight=torch.ones(1))
    anew = FastRP(dim=8, **options).fit(graph).update(change)
    assert torch.equal(model.update(change).embedding_, anew.embedding_)


def test_a_finished_checkpoint_resumes_too(tmp_path):
    graph, path = random_graph(60, 500), tmp_path / "state.safetensors"
    want = FastRP(dim=8).fit_transform(graph, checkpoint=path)
    assert torch.equal(FastRP(dim=8).fit_transform(graph, checkpoint=path, resume=True), want)
    assert [p.name for p in tmp_path.iterdir()] == ["state.safetensors"]


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    graph, path = random_graph(60, 500), tmp_path / "state.safetensors"
    FastRP(dim=8).fit(graph, checkpoint=path)
    with pytest.raises(CheckpointMismatchError, match="other settings"):
        FastRP(dim=8, seed=1).fit(graph, checkpoint=path, resume=True)
    with pytest.raises(CheckpointMismatchError, match="another graph"):
        FastRP(dim=8).fit(random_graph(60, 500, seed=9), checkpoint=path, resume=True)
    with pytest.raises(CheckpointMismatchError, match="another graph"):
        FastRP(dim=8).fit(graph, init=torch.ones(60, 8), checkpoint=path, resume=True)
    again = FastRP(dim=8, seed=1).fit(graph, checkpoint=path)  # without resume the file is written anew
    assert torch.equal(again.embedding_, FastRP(dim=8, seed=1).fit_transform(graph))
    FastRP(dim=8).fit(graph).save(tmp_path)
    with pytest.raises(CheckpointMismatchError, match="not a FastRP checkpoint"):
        FastRP(dim=8).fit(graph, checkpoint=tmp_path / "model.safetensors", resume=True)
    path.write_bytes(b"half a fi")
    with pytest.raises(FileFormatError, match="cannot be read"):
        FastRP(dim=8).fit(graph, checkpoint=path, resume=True)
    for option in ("concat", "keep_powers"):
        with pytest.raises(GraphrepError, match=f"{option}=True has no checkpoints"):
            FastRP(dim=8, **{option: True}).fit(graph, checkpoint=path)
