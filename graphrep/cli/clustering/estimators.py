"""From the name of a method to an estimator with its parameters."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphrep.cli.clustering.wanted import OWN_NUMBER, entry_of, registered
from graphrep.cli.plan import plain
from graphrep.cli.system import resolve_device
from graphrep.errors import DeviceError, UnknownNameError
from graphrep.recipes import check_params, parameters
from graphrep.registry import suggest

__all__ = ["TAKES_FACTOR", "Maker", "check_sets", "embeds", "trains", "usual_scale"]

_USUAL_SIZE = 2.0
TAKES_FACTOR = ("scgc", "pamc")  # their scale_features may be a number


@dataclass(frozen=True)
class Maker:
    """Makes the estimators of one method, which differ by their seeds.

    Attributes:
        name: as users call the method.
        count: K; None for a method that finds its own.
        params: settings that the method has, beyond K, seed and device.
        device: where a method computes that can do so elsewhere than on the CPU.
    """

    name: str
    count: int | None
    params: Mapping[str, Any]
    device: str | None = None

    @classmethod
    def of(cls, name: str, count: int | None, params: Mapping[str, Any], device: str | None) -> Maker:
        """A maker with those of `params` that the method knows."""
        known = parameters(registered(name)) | (_wrapper() if embeds(name) else {})
        chosen = {key: _as_list(value, known[key]) for key, value in params.items() if key in known and key != "seed"}
        return cls(name, count, chosen, device)

    def make(self, seed: int, *, time_budget: float | None = None) -> Any:
        """The estimator, not fitted.

        Raises:
            GraphrepError: a parameter out of range.
        """
        cls = entry_of(self.name).load()
        known = parameters(registered(self.name))
        given = dict(self.params)
        if "device" in known and "device" not in given:
            given["device"] = resolve_device(self.device)
        if time_budget is not None and "time_budget" in known:
            given["time_budget"] = min(time_budget, float(given.get("time_budget") or time_budget))
        if not embeds(self.name):
            return cls(**{"num_clusters": self.count, **given, "seed": seed})
        from graphrep.methods import EmbeddingKMeans

        outer = {key: value for key, value in given.items() if key in _wrapper() and key not in known}
        inner = {key: value for key, value in given.items() if key in known}
        return EmbeddingKMeans(self.count, method=self.name, options=inner, seed=seed, **outer)

    def plain_params(self, model: Any) -> dict[str, Any]:
        """Parameters of a model as a file holds them."""
        return {key: plain(value) for key, value in model.get_params().items() if value is not None}

    @property
    def trains(self) -> bool:
        """Whether `fit` reports its epochs and can be stopped between them."""
        return trains(self.name)

    @property
    def needs_features(self) -> bool:
        """Whether the method takes features."""
        return "features" in entry_of(self.name).needs

    @property
    def finds_number(self) -> bool:
        """Whether the method needs no number of clusters."""
        return self.name in OWN_NUMBER


def _as_list(value: Any, default: Any) -> Any:
    """A value for a parameter that is a list by default: of ``--set hidden_dims=64`` or ``=64,32``, integers."""
    if not isinstance(default, list | tuple):
        return value
    items = value if isinstance(value, list | tuple) else [value]
    whole = all(isinstance(item, int) for item in default)
    return [int(item) if whole and isinstance(item, float) and item.is_integer() else item for item in items]


def usual_scale(x: Any) -> float | None:
    """A factor that brings features of another size to a root mean square of 1; None for those between 0 and 2.

    Auto-encoders start from weights for inputs of about this size. Sparse features are left alone.

    Example:
        >>> import torch
        >>> usual_scale(torch.full((4, 2), 8.0)), usual_scale(torch.ones(4, 2))
        (0.125, None)
    """
    import torch

    if x is None or x.layout != torch.strided or not x.numel():
        return None
    size = float(x.double().square().mean().sqrt())
    return None if size <= _USUAL_SIZE else float(f"{1 / size:.3g}")


def embeds(name: str) -> bool:
    """Whether the method makes vectors, which k-means then groups."""
    return entry_of(name).task == "embed"


def trains(name: str) -> bool:
    """Whether the method is trained, with callbacks, saved states and a way to stop."""
    from graphrep.methods import TrainedEstimator

    return issubclass(entry_of(name).load(), TrainedEstimator)


def _wrapper() -> dict[str, Any]:
    """Parameters of k-means on vectors that a user may set."""
    from graphrep.methods import EmbeddingKMeans

    own = inspect.signature(EmbeddingKMeans).parameters
    return {name: own[name].default for name in ("normalize", "n_init") if name in own}


def check_sets(names: Sequence[str], params: Mapping[str, Any], device: str | None) -> None:
    """Refuses settings that no requested method has, and a device that none of them computes on.

    Raises:
        UnknownNameError: such a setting; the message has the closest one.
        DeviceError: such a device.
    """
    known = {
        name: parameters(registered(name)).keys() | (_wrapper().keys() if embeds(name) else set()) for name in names
    }
    everything = sorted(set().union(*known.values()) - {"num_clusters"}) if known else []
    if "num_clusters" in params:
        raise UnknownNameError("The number of clusters is set by -k.", hint=f"-k {params['num_clusters']}")
    for key in params:
        if key not in everything and key != "seed":
            if len(names) == 1 and not embeds(names[0]):
                check_params(registered(names[0]), {key: None})
            raise UnknownNameError(
                f'None of {", ".join(names)} has a parameter "{key}".{suggest(key, everything)}',
                hint=f"one of {', '.join(everything)}",
            )
    elsewhere = device not in (None, "auto") and resolve_device(device) != "cpu"
    if elsewhere and not any("device" in keys for keys in known.values()):
        raise DeviceError(f"{', '.join(names)} compute on the CPU, not on {device}.", hint="--device cpu")
