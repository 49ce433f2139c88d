"""MEOW's and AdaMEOW's contrasts and prototypes: golden files, explicit loops, symmetries, degenerate inputs."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from contrast_cases import close, gradients, views
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from graphrep.errors import DTypeError, GraphrepError, IndexRangeError, ShapeError, UnknownNameError
from graphrep.objectives import (
    AdaMEOWContrastLoss,
    AdaptiveNegativeWeight,
    MEOWContrastLoss,
    PrototypeContrastLoss,
    adameow_contrast,
    meow_contrast,
    prototype_contrast,
    prototype_density,
)

Golden = Callable[[str], dict[str, Tensor]]
TYPES = [(torch.float64, 1e-10), (torch.float32, 1e-4)]
NAMES = [(f"lin{i}.{kind}", f"l{i}_{kind}") for i in (1, 2) for kind in ("weight", "bias")]


def units(count: int, width: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    first, second = (normalize(x.detach()).to(dtype).requires_grad_() for x in views(count, width, seed))
    return first, second


def clusterings(count: int, sizes: tuple[int, ...], seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(0, size, (count,), generator=generator) for size in sizes]


def network(dim: int, hidden: int = 5, seed: int = 0, dtype: torch.dtype = torch.float64) -> AdaptiveNegativeWeight:
    net, generator = AdaptiveNegativeWeight(dim, hidden).to(dtype), torch.Generator().manual_seed(seed)
    for parameter in net.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64).to(dtype)
    return net


def stored(g: dict[str, Tensor], name: str) -> list[Tensor]:
    return [g[f"{name}_{t}"] for t in itertools.takewhile(lambda t: f"{name}_{t}" in g, itertools.count())]


def meow_rows(a: Tensor, z: Tensor, labels: list[Tensor], t: float) -> Tensor:
    """One anchor and one negative at a time."""
    rows = []
    for i in range(len(a)):
        terms = []
        for j in range(len(a)):
            weight = len(labels) - sum(int(q[i] == q[j]) for q in labels)
            terms.append(weight * (a[i] @ z[j] / t).exp())
        rows.append(-((a[i] @ z[i] / t).exp() / torch.stack(terms).sum()).log())
    return torch.stack(rows)


def adameow_rows(a: Tensor, z: Tensor, net: AdaptiveNegativeWeight, t: float, normalise: bool) -> Tensor:
    """One pair at a time, through the two layers themselves."""
    rows = []
    for i in range(len(a)):
        weight = torch.cat([net.lin2(net.lin1(a[i] + z[j]).tanh()).sigmoid() for j in range(len(a))])
        if normalise:
            weight = weight / weight.mean()
        terms = torch.stack([w * (a[i] @ z[j] / t).exp() for j, w in enumerate(weight)])
        rows.append(-((a[i] @ z[i] / t).exp() / terms.sum()).log())
    return torch.stack(rows)


# golden files


@pytest.mark.parametrize("name", ["meow_loss_a", "meow_loss_b"])
@pytest.mark.parametrize(("dtype", "tol"), TYPES)
def test_golden_meow(name: str, dtype: torch.dtype, tol: float, backend: str, golden: Golden) -> None:
    g = golden(f"meow/{name}")
    anchor, z = (g[key].to(dtype).requires_grad_() for key in ("z_anchor", "z"))
    loss = meow_contrast(anchor, z, stored(g, "assign"), temperature=g["tau"].item())
    close(loss.detach(), g["loss_info"], tol)
    for found, key in zip(gradients(loss, (anchor, z)), ("grad_info_anchor", "grad_info_z"), strict=True):
        close(found, g[key], tol)


@pytest.mark.parametrize("name", ["meow_loss_a", "meow_loss_b"])
@pytest.mark.parametrize(("dtype", "tol"), TYPES)
def test_golden_prototypes(name: str, dtype: torch.dtype, tol: float, backend: str, golden: Golden) -> None:
    g = golden(f"meow/{name}")
    anchor = g["z_anchor"].to(dtype).requires_grad_()
    loss = prototype_contrast(anchor, *(stored(g, key) for key in ("assign", "centroids", "density")))
    close(loss.detach(), g["loss_proto"], tol)
    close(gradients(loss, (anchor,))[0], g["grad_proto_anchor"], tol)
    for t, (labels, centers) in enumerate(zip(stored(g, "assign"), stored(g, "raw_centroids"), strict=True)):
        for kind in ("ip", "l2"):
            options = {"temperature": g["tau"].item(), "kind": kind}
            found = prototype_density(g["z"].to(dtype), labels.int(), centers.to(dtype), **options)
            assert found.dtype == dtype
            close(found, g[f"phi_{kind}_{t}"], tol)


@pytest.mark.parametrize("name", ["adameow_a", "adameow_b"])
@pytest.mark.parametrize(("dtype", "tol"), TYPES)
def test_golden_adameow(name: str, dtype: torch.dtype, tol: float, backend: str, golden: Golden) -> None:
    g = golden(f"meow/{name}")
    hidden, dim = g["l1_weight"].shape
    net = AdaptiveNegativeWeight(dim, hidden).to(dtype)
    net.load_state_dict({key: g[file_key].to(dtype) for key, file_key in NAMES})
    anchor, z = (g[key].to(dtype).requires_grad_() for key in ("z_anchor", "z"))
    close(net(anchor, z).detach(), g["weight"], tol)
    loss = adameow_contrast(anchor, z, net, temperature=g["tau"].item())
    close(loss.detach(), g["loss"], tol)
    inputs = {"anchor": anchor, "z": z} | {key: net.get_parameter(name) for name, key in NAMES}
    for found, key in zip(gradients(loss, tuple(inputs.values())), inputs, strict=True):
        close(found, g[f"grad_{key}"], tol)


# definitions


@pytest.mark.parametrize(("count", "sizes"), [(2, (2,)), (13, (4, 13)), (63, (5, 20, 63))])
def test_meow_against_loops(count: int, sizes: tuple[int, ...], backend: str) -> None:
    a, z = units(count, 4)
    labels = clusterings(count, sizes)
    labels[0][:2] = torch.tensor([0, 1])
    found = meow_contrast(a, z, labels, temperature=0.4, reduction="none")
    wanted = meow_rows(a, z, labels, 0.4)
    close(found.detach(), wanted.detach(), 1e-11)
    for x, y in zip(gradients(found, (a, z)), gradients(wanted, (a, z)), strict=True):
        close(x, y, 1e-11)


@pytest.mark.parametrize("count", [1, 2, 23])
@pytest.mark.parametrize("normalise", [False, True])
def test_adameow_against_loops(count: int, normalise: bool, backend: str) -> None:
    a, z = units(count, 4)
    net = network(4)
    found = adameow_contrast(a, z, net, temperature=0.4, normalise=normalise, reduction="none")
    wanted = adameow_rows(a, z, net, 0.4, normalise)
    close(found.detach(), wanted.detach(), 1e-11)
    inputs = (a, z, *net.parameters())
    for x, y in zip(gradients(found, inputs), gradients(wanted, inputs), strict=True):
        close(x, y, 1e-11)


def test_prototypes_against_loops(backend: str) -> None:
    a, _ = units(11, 3)
    labels, sizes = clusterings(11, (3, 5)), (3, 5)
    centers = [units(size, 3, seed=size)[0].detach() for size in sizes]
    phi = [torch.linspace(0.2, 1.0, size, dtype=torch.float64) for size in sizes]
    rows = []
    for i in range(11):
        parts = []
        for q, m, f in zip(labels, centers, phi, strict=True):
            logits = torch.stack([a[i] @ m[r] / f[r] for r in range(len(m))])
            parts.append(-(logits[q[i]].exp() / (11 / len(m) * logits.exp().sum())).log())
        rows.append(torch.stack(parts).mean())
    wanted, found = torch.stack(rows), prototype_contrast(a, labels, centers, phi, reduction="none")
    close(found.detach(), wanted.detach(), 1e-12)
    close(gradients(found, (a,))[0], gradients(wanted, (a,))[0], 1e-12)


def test_density_against_loops() -> None:
    z = views(20, 3)[0].detach()
    labels = torch.tensor([0] * 7 + [1] * 8 + [2] + [4] * 4)  # one member in cluster 2, none in 3
    centers = torch.stack(
        [z[labels == r].mean(0) if (labels == r).any() else torch.zeros(3).double() for r in range(5)]
    )
    for kind in ("l2", "ip"):
        phi = np.zeros(5)
        for r in range(5):
            members = z[labels == r].numpy()
            if len(members) > 1:
                products = members @ centers[r].numpy()
                far = np.linalg.norm(members - centers[r].numpy(), axis=1)
                phi[r] = (far if kind == "l2" else np.sqrt(np.maximum(products, 0))).mean() / np.log(len(members) + 5)
        phi[[2, 3]] = phi.max()
        phi = np.clip(phi, np.percentile(phi, 10), np.percentile(phi, 90))
        found = prototype_density(z, labels, centers, temperature=0.3, kind=kind)
        close(found, torch.from_numpy(phi / phi.mean() * 0.3), 1e-12)
    close(prototype_density(z, labels, centers, temperature=0.3), found, 0)  # "ip" is the default


@pytest.mark.parametrize("normalise", [False, True])
def test_gradcheck(normalise: bool, backend: str) -> None:
    labels, net = clusterings(6, (2, 4)), network(4)
    a, z = units(6, 4)
    parameters = tuple(net.parameters())

    def adaptive(a: Tensor, z: Tensor, *_: Tensor) -> Tensor:
        return adameow_contrast(a, z, net, temperature=0.5, normalise=normalise)

    assert torch.autograd.gradcheck(adaptive, (a, z, *parameters))
    assert torch.autograd.gradcheck(lambda a, z: meow_contrast(a, z, labels, temperature=0.5), (a, z))
    centers, phi = [z.detach()[:4]] * 2, [torch.full((4,), 0.5, dtype=torch.float64)] * 2
    assert torch.autograd.gradcheck(lambda a: prototype_contrast(a, labels, centers, phi), (a,))


# properties


@given(st.integers(2, 14), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_order_of_nodes_and_names_of_clusters_do_not_matter(count: int, seed: int) -> None:
    a, z = units(count, 3, seed)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    labels, net = [torch.arange(count), *clusterings(count, (3, 2), seed)], network(3, 4, seed)
    rows = meow_contrast(a, z, labels, temperature=0.5, reduction="none")
    moved = meow_contrast(a[order], z[order], [q[order] for q in labels], temperature=0.5, reduction="none")
    close(moved, rows[order], 1e-12)
    renamed = [(7 * q + 1000 * count).int() for q in reversed(labels)]  # gaps are clusters without members
    close(meow_contrast(a, z, renamed, temperature=0.5, reduction="none"), rows, 1e-12)
    rows = adameow_contrast(a, z, net, temperature=0.5, normalise=True, reduction="none")
    moved = adameow_contrast(a[order], z[order], net, temperature=0.5, normalise=True, reduction="none")
    close(moved, rows[order], 1e-12)


@given(st.integers(1, 14), st.integers(1, 5), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_prototypes_in_any_order(count: int, clusters: int, seed: int) -> None:
    a, _ = units(count, 3, seed)
    (labels,), order = clusterings(count, (clusters,), seed), torch.arange(clusters).roll(1)
    centers = units(clusters, 3, seed + 1)[0].detach()
    phi = prototype_density(a.detach(), labels, centers, temperature=0.4, kind="l2")
    assert bool((phi >= 0.004).all())
    turned = prototype_density(a.detach(), order.argsort()[labels], centers[order], temperature=0.4, kind="l2")
    close(turned, phi[order], 1e-12)
    rows = prototype_contrast(a, [labels], [centers], [phi], reduction="none")
    found = prototype_contrast(a, [order.argsort()[labels]], [centers[order]], [phi[order]], reduction="none")
    close(found, rows, 1e-12)


def test_nodes_all_alone_have_equal_weights() -> None:
    """T clusterings into single nodes weigh every other node T: plain InfoNCE without its positive, plus log T."""
    a, z = units(9, 4)
    alone = torch.arange(9)
    one = meow_contrast(a, z, [alone], temperature=0.3, reduction="none")
    close(meow_contrast(a, z, [alone] * 3, temperature=0.3, reduction="none"), one + np.log(3), 1e-12)
    logits = (a @ z.t() / 0.3).fill_diagonal_(-torch.inf)
    close(one, logits.logsumexp(1) - (a * z).sum(1) / 0.3, 1e-12)


def test_without_assignments_it_is_info_nce(backend: str) -> None:
    a, z = units(9, 4)
    wanted = torch.nn.functional.cross_entropy(a @ z.t() / 0.3, torch.arange(9))
    found = meow_contrast(a, z, None, temperature=0.3)
    close(found.detach(), wanted.detach(), 1e-12)
    for x, y in zip(gradients(found, (a, z)), gradients(wanted, (a, z)), strict=True):
        close(x, y, 1e-12)
    assert meow_contrast(a[:1], z[:1], None, temperature=0.3).item() == pytest.approx(0, abs=1e-12)


def test_equal_adaptive_weights_are_info_nce(backend: str) -> None:
    a, z = units(9, 4)
    net = network(4)
    torch.nn.init.zeros_(net.lin2.weight)
    wanted = meow_contrast(a, z, None, temperature=0.3, reduction="none")
    options = {"temperature": 0.3, "reduction": "none"}
    close(adameow_contrast(a, z, net, normalise=True, **options), wanted, 1e-12)
    shift = float(net.lin2.bias.detach().sigmoid().log())
    close(adameow_contrast(a, z, net, **options), wanted + shift, 1e-12)


def test_only_normalised_weights_stop_the_escape_to_zero(backend: str) -> None:
    a, z = units(12, 4)
    net = network(4)
    losses = {}
    for bias in (0.0, -50.0):
        net.lin2.bias.data.fill_(bias)
        losses[bias] = [adameow_contrast(a, z, net, temperature=0.5, normalise=n).item() for n in (False, True)]
    assert losses[-50.0][0] < losses[0.0][0] - 40
    assert abs(losses[-50.0][1] - losses[0.0][1]) < 1


@pytest.mark.parametrize("temperature", [1e-3, 1e3])
def test_temperatures_that_overflow_a_plain_exponential(temperature: float, backend: str) -> None:
    a, z = units(30, 3)
    labels, net = clusterings(30, (4, 6)), network(3)
    logits = a @ z.t() / temperature
    weight = sum((q.unsqueeze(1) != q).double() for q in labels)
    assert isinstance(weight, Tensor)
    wanted = (logits + weight.log()).logsumexp(1) - logits.diagonal()
    found = meow_contrast(a, z, labels, temperature=temperature, reduction="none")
    close(found.detach(), wanted.detach(), 1e-12)
    assert all(bool(g.isfinite().all()) for g in gradients(found, (a, z)))
    found = adameow_contrast(a, z, net, temperature=temperature, reduction="none")
    wanted = (logits + net(a, z).log()).logsumexp(1) - logits.diagonal()
    close(found.detach(), wanted.detach(), 1e-12)
    assert all(bool(g.isfinite().all()) for g in gradients(found, (a, z, *net.parameters())))


def test_half_types_are_summed_in_float32(backend: str) -> None:
    a, z = units(20, 4)
    labels, net = clusterings(20, (4, 6)), network(4)
    centers, phi = [z.detach()[:6]] * 2, [torch.full((6,), 0.5)] * 2
    narrow_net = network(4, dtype=torch.float32)

    def losses(a: Tensor, z: Tensor, net: AdaptiveNegativeWeight) -> list[Tensor]:
        info = meow_contrast(a, z, labels, temperature=0.5)
        adaptive = adameow_contrast(a, z, net, temperature=0.5)
        return [info, prototype_contrast(a, labels, centers, phi), adaptive]

    wide = losses(a, z, net)
    for dtype, tol in ((torch.float32, 1e-5), (torch.bfloat16, 2e-2), (torch.float16, 2e-3)):  # inputs are rounded
        inputs = [x.detach().to(dtype).requires_grad_() for x in (a, z)]
        for found, wanted in zip(losses(*inputs, narrow_net), wide, strict=True):
            assert found.dtype == torch.float32
            close(found.detach(), wanted.detach(), tol)
        (grad,) = torch.autograd.grad(losses(*inputs, narrow_net)[2], inputs[0])
        assert grad.dtype == dtype
    density = prototype_density(a.detach().bfloat16(), labels[0], z.detach()[:4].bfloat16(), temperature=0.5)
    assert density.dtype == torch.float32


def test_int32_labels_and_labels_beyond_int32(backend: str) -> None:
    a, z = units(12, 3)
    labels = clusterings(12, (3, 5))
    wanted = meow_contrast(a, z, labels, temperature=0.5)
    assert torch.equal(meow_contrast(a, z, [q.int() for q in labels], temperature=0.5), wanted)
    assert torch.equal(meow_contrast(a, z, torch.stack(labels) + 2**40, temperature=0.5), wanted)  # type: ignore[arg-type]


# the network


def test_statistics_are_those_of_the_dense_weights(backend: str) -> None:
    net, (a, _), (z, _) = network(4), units(30, 4), units(50, 4, seed=1)
    weights, found = net(a, z).detach(), net.statistics(a, z)
    assert found.mean == pytest.approx(float(weights.mean()), abs=1e-12)
    assert found.std == pytest.approx(float(weights.std(correction=0)), abs=1e-12)
    assert (found.min, found.max) == pytest.approx((float(weights.min()), float(weights.max())), abs=1e-12)


def test_weights_are_the_layers_own() -> None:
    net, (a, z) = network(4), units(5, 4)
    wanted = net.lin2(net.lin1(a.unsqueeze(1) + z).tanh()).squeeze(2).sigmoid()
    close(net(a, z).detach(), wanted.detach(), 1e-14)
    assert repr(net).startswith("AdaptiveNegativeWeight(\n  dim=4, hidden=5")


def test_training_lowers_the_loss(backend: str) -> None:
    a, z = (x.float() for x in units(20, 4))
    net = network(4, dtype=torch.float32)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    losses = []
    for _ in range(5):
        loss = AdaMEOWContrastLoss(temperature=0.5)(a.detach(), z.detach(), net)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses == sorted(losses, reverse=True)


def test_modules_are_their_functions() -> None:
    a, z = units(8, 3)
    labels, net = clusterings(8, (3, 4)), network(3)
    centers, phi = [z.detach()[:4]] * 2, [torch.ones(4, dtype=torch.float64)] * 2
    pairs = [
        (MEOWContrastLoss(temperature=0.4, reduction="none")(a, z, labels), meow_contrast, (a, z, labels)),
        (AdaMEOWContrastLoss(temperature=0.4, reduction="none")(a, z, net), adameow_contrast, (a, z, net)),
    ]
    for found, function, arguments in pairs:
        assert torch.equal(found, function(*arguments, temperature=0.4, reduction="none"))  # type: ignore[operator]
    found = PrototypeContrastLoss(reduction="none")(a, labels, centers, phi)
    assert torch.equal(found, prototype_contrast(a, labels, centers, phi, reduction="none"))


# degenerate and wrong inputs


def test_density_without_spread() -> None:
    """Single nodes, identical members, and negative products have no spread to tell apart."""
    z = views(4, 3)[0].detach()
    half = torch.full((4,), 0.5, dtype=torch.float64)
    for kind in ("ip", "l2"):
        assert torch.equal(prototype_density(z, torch.arange(4), z, temperature=0.5, kind=kind), half)
    same = z[:1].expand(4, 3)
    found = prototype_density(same, torch.tensor([0, 0, 1, 1]), same[:2], temperature=0.5, kind="l2")
    assert torch.equal(found, half[:2])
    found = prototype_density(z, torch.tensor([0, 0, 1, 1]), -10 * z[[0, 2]], temperature=0.5, kind="ip")
    assert bool(found.isfinite().all())
    # nine tight clusters and a loose one: what the percentiles leave at 0 is raised
    tight = torch.cat([z[:1].expand(18, 3), z[2:]])
    centers = torch.cat([z[:1].expand(9, 3), z[2:].mean(0, keepdim=True)])
    found = prototype_density(tight, torch.arange(20) // 2, centers, temperature=0.5, kind="l2")
    assert torch.equal(found[:9], torch.full((9,), 0.005, dtype=torch.float64))


def test_refuses() -> None:
    a, z = units(4, 3)
    net, labels, ones = network(3), [torch.tensor([0, 1, 1, 0])], [torch.ones(2)]
    centers, inf = [z.detach()[:2]], [torch.tensor([1.0, torch.inf])]
    apart: dict[str, float] = {"temperature": 1.0}
    cases: list[tuple[Callable[[], object], type[Exception], str]] = [
        (lambda: meow_contrast(a, z, [torch.zeros(4).long()] * 2, **apart), GraphrepError, "no negative"),
        (lambda: meow_contrast(a[:1], z[:1], [torch.tensor([3])], **apart), GraphrepError, "all 1 nodes"),
        (lambda: meow_contrast(a, z, [], **apart), GraphrepError, "empty"),
        (lambda: meow_contrast(a, z, [labels[0][1:]], **apart), ShapeError, "3 labels for 4 nodes"),
        (lambda: meow_contrast(a, z, [labels[0].float()], **apart), DTypeError, r"assignments\[0\]"),
        (lambda: meow_contrast(a, z, labels[0], **apart), ShapeError, r"assignments\[0\]"),  # type: ignore[arg-type]
        (lambda: meow_contrast(a, z, [labels[0] - 1], **apart), IndexRangeError, "holds -1 at position 0"),
        (lambda: meow_contrast(a, z[1:], labels, **apart), ShapeError, "same node"),
        (lambda: meow_contrast(a[:0], z[:0], None, **apart), ShapeError, "N >= 1"),
        (lambda: meow_contrast(a.long(), z, labels, **apart), DTypeError, "anchor"),
        (lambda: meow_contrast(a, z, labels, temperature=0.0), GraphrepError, "temperature"),
        (lambda: meow_contrast(a, z, labels, temperature=1.0, reduction="sum"), UnknownNameError, "reduction"),
        (lambda: adameow_contrast(a, z, torch.nn.Linear(3, 1), **apart), GraphrepError, "Linear"),  # type: ignore[arg-type]
        (lambda: adameow_contrast(a, z, network(5), **apart), ShapeError, "rows of 5"),
        (lambda: adameow_contrast(a, z[:2], net, **apart), ShapeError, "same node"),
        (lambda: net.statistics(a[:0], z), ShapeError, "no pair"),
        (lambda: net(a.long(), z), DTypeError, "anchor"),
        (lambda: AdaptiveNegativeWeight(0), GraphrepError, "dim is 0"),
        (lambda: AdaptiveNegativeWeight(4, hidden=0), GraphrepError, "hidden is 0"),
        (lambda: prototype_contrast(a, [], [], []), GraphrepError, "0 assignments"),
        (lambda: prototype_contrast(a, labels, centers, []), GraphrepError, "0 densities"),
        (lambda: prototype_contrast(a, [labels[0] + 1], centers, ones), IndexRangeError, "refers to 2"),
        (lambda: prototype_contrast(a, labels, [centers[0][:, 1:]], ones), ShapeError, r"centroids\[0\]"),
        (lambda: prototype_contrast(a, labels, centers, [torch.ones(3)]), ShapeError, r"densities\[0\]"),
        (lambda: prototype_contrast(a, labels, centers, [torch.zeros(2)]), GraphrepError, "positive"),
        (lambda: prototype_contrast(a, labels, centers, inf), GraphrepError, "finite"),
        (lambda: prototype_contrast(a[0], labels, centers, ones), ShapeError, "row per node"),
        (lambda: prototype_density(z, labels[0], centers[0], temperature=1.0, kind="cosine"), UnknownNameError, "kind"),
        (lambda: prototype_density(z, labels[0], centers[0], temperature=-1.0), GraphrepError, "temperature"),
        (lambda: prototype_density(z[0], labels[0], centers[0], temperature=1.0), ShapeError, "row per node"),
    ]
    for call, error, message in cases:
        with pytest.raises(error, match=message):
            call()
