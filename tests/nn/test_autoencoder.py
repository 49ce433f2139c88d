"""The encoder of features and the auto-encoder: against torch's own layers, sparse against dense, layouts, errors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from graphrep.errors import DTypeError, GraphrepError, ShapeError
from graphrep.kernels import CSR
from graphrep.nn import AutoEncoder, FeatureMLP
from graphrep.nn.encoder import feature_matrix

pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR")


def features(num_nodes: int = 9, width: int = 7) -> Tensor:
    """Sparse in content, with an empty row and an empty column."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(num_nodes, width, generator=generator, dtype=torch.float64)
    x = x * (torch.rand(num_nodes, width, generator=generator) < 0.4)
    if num_nodes > 2:
        x[2] = 0
    x[:, 3] = 0
    return x


def plain(mlp: FeatureMLP) -> nn.Sequential:
    """The same layers in torch's own containers."""
    parts: list[nn.Module] = []
    for lin in mlp.layers:
        copy = nn.Linear(lin.in_features, lin.out_features).to(lin.weight.dtype)
        copy.load_state_dict(lin.state_dict())
        parts += [copy, nn.ReLU()]
    return nn.Sequential(*parts[:-1])


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("form", ["dense", "torch sparse", "CSR"])
@pytest.mark.parametrize("hidden", [(), (5,), (5, 6)])
@pytest.mark.parametrize("num_nodes", [1, 9, 300])
def test_equals_torchs_layers(
    form: str, hidden: tuple[int, ...], num_nodes: int, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHREP_BACKEND", backend)
    x = features(num_nodes)
    given = x if form == "dense" else x.to_sparse_csr()
    mlp = FeatureMLP(7, hidden, 3).double()
    other = plain(mlp)
    out = mlp(feature_matrix(given) if form == "CSR" else given)
    torch.testing.assert_close(out, other(x), rtol=1e-12, atol=1e-14)
    pull = torch.linspace(-1, 1, out.numel(), dtype=torch.float64).view_as(out)
    found = torch.autograd.grad((out * pull).sum(), list(mlp.parameters()))
    wanted = torch.autograd.grad((other(x) * pull).sum(), list(other.parameters()))
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("sparse", [False, True])
def test_the_gradient_lies_as_the_first_weight_does(sparse: bool) -> None:
    """By columns, so that no step copies either of them; a saved state is by rows as any other."""
    mlp = FeatureMLP(7, [5], 3).double()
    x = features()
    mlp(x.to_sparse_csr() if sparse else x).sum().backward()
    weight = mlp.layers[0].weight
    assert weight.stride() == (1, 5)
    assert weight.grad is not None
    assert weight.grad.stride() == weight.stride()
    again = FeatureMLP(7, [5], 3).double()
    again.load_state_dict({name: value.contiguous() for name, value in mlp.state_dict().items()})
    assert again.layers[0].weight.stride() == (1, 5)
    assert torch.equal(again(x), mlp(x))


def test_starts_as_torchs_linear_layers_do() -> None:
    torch.manual_seed(3)
    auto = AutoEncoder(7, [5, 6], 3)
    torch.manual_seed(3)
    widths = [(7, 5), (5, 6), (6, 3), (3, 6), (6, 5), (5, 7)]
    layers = [nn.Linear(a, b) for a, b in widths]
    found = [*auto.encoder.layers, *auto.decoder.layers]
    assert all(torch.equal(a.weight, b.weight) for a, b in zip(found, layers, strict=True))
    assert all(torch.equal(a.bias, b.bias) for a, b in zip(found, layers, strict=True))


def test_autoencoder_runs_both_halves() -> None:
    x = features()
    auto = AutoEncoder(7, [5, 6], 3).double()
    z, x_hat = auto(x.to_sparse_csr())
    torch.testing.assert_close(z, auto.encoder(x))
    torch.testing.assert_close(x_hat, plain(auto.decoder)(plain(auto.encoder)(x)))
    assert repr(auto.decoder).startswith("FeatureMLP(\n  3 -> 6 -> 5 -> 7")


def test_bfloat16_under_autocast_stays_near_float32() -> None:
    x = features().float()
    mlp = FeatureMLP(7, [5, 6], 3)
    wanted = mlp(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for given in (x, x.to_sparse_csr()):
            torch.testing.assert_close(mlp(given).float(), wanted, rtol=2e-2, atol=2e-2)  # eight bits per number


def test_arguments_that_do_not_fit() -> None:
    mlp = FeatureMLP(7, [5], 3)
    with pytest.raises(ShapeError, match="x has 6 columns; this encoder takes 7"):
        mlp(torch.ones(2, 6))
    with pytest.raises(ShapeError, match="columns"):
        mlp(CSR.from_edge_index(torch.tensor([[0], [0]]), torch.ones(1), size=(6, 2)))
    with pytest.raises(DTypeError):
        mlp([[1.0] * 7])
    with pytest.raises(GraphrepError, match="widths"):
        FeatureMLP(7, [0], 3)
