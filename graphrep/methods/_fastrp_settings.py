"""FastRP's parameters, checked once and put into the form that the passes use."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch

from graphrep.errors import DTypeError, GraphrepError, ShapeError, UnknownNameError

__all__ = ["Settings", "resolve"]

_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class Settings:
    """Checked parameters.

    Attributes:
        num_features_dims: p, the coordinates that project node features (the last ones).
        work: type of sums and of the result, float32 or float64.
        storage: type in which powers are kept, float32, float64 or bfloat16.
        output: type of the returned embedding.
    """

    dim: int
    weights: tuple[float, ...]
    self_weight: float
    degree_exponent: float
    transition: bool
    density: float | Literal["auto", "gaussian"]
    normalize: bool
    standardize: bool
    concat: bool
    num_features_dims: int
    feature_scale: Literal["raw", "standard"]
    seed: int
    gds: bool
    direction: Literal["out", "in", "both"]
    abs_degree: bool
    coalesce: bool
    work: torch.dtype
    storage: torch.dtype
    output: torch.dtype

    @property
    def num_powers(self) -> int:
        return len(self.weights)

    def density_for(self, num_nodes: int) -> float:
        """The share of non-zero signs in a graph of that size."""
        if self.gds:
            return 1 / 3
        if isinstance(self.density, str):
            return 1 / math.sqrt(max(num_nodes, 1))
        return float(self.density)


def resolve(params: dict[str, Any]) -> Settings:
    """Checks the constructor's arguments (a dict of them).

    Raises:
        GraphrepError, DTypeError, ShapeError, UnknownNameError: a parameter has no meaning; the message names it.
    """
    dim = _whole("dim", params["dim"], least=1)
    weights = _weights(params["weights"])
    gds = _choice("rng", params["rng"], ("counter", "gds")) == "gds"
    ratio = _number("feature_ratio", params["feature_ratio"])
    if not 0.0 <= ratio <= 1.0:
        raise GraphrepError(f"feature_ratio must lie in [0, 1]; got {ratio}.", hint="feature_ratio=0.5")
    self_weight = _number("self_weight", params["self_weight"])
    if not params["concat"] and self_weight == 0 and not any(weights):
        raise GraphrepError("All weights are 0, so every vector would be 0.", hint="weights=(0, 1, 1)")
    output, storage = _types(params["dtype"], params["storage"])
    return Settings(
        dim=dim,
        weights=weights,
        self_weight=self_weight,
        degree_exponent=_number("degree_exponent", params["degree_exponent"]),
        transition=bool(params["transition"]),
        density=_density(params["density"], gds),
        normalize=bool(params["normalize"]),
        standardize=bool(params["standardize"]),
        concat=bool(params["concat"]),
        num_features_dims=int(dim * ratio),
        feature_scale=_choice("feature_scale", params["feature_scale"], ("raw", "standard")),
        seed=_whole("seed", params["seed"]),
        gds=gds,
        direction=_choice("direction", params["direction"], ("out", "in", "both")),
        abs_degree=bool(params["abs_degree"]),
        coalesce=bool(params["coalesce"]),
        work=torch.float64 if output == torch.float64 else torch.float32,
        storage=storage,
        output=output,
    )


def _whole(name: str, value: Any, least: int | None = None) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise DTypeError(f"{name} must be an integer; got {value!r}.")
    if least is not None and value < least:
        raise ShapeError(f"{name} must be at least {least}; got {value}.")
    return int(value)


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise DTypeError(f"{name} must be a number; got {value!r}.") from None
    if not math.isfinite(number):
        raise GraphrepError(f"{name} must be finite; got {value}.")
    return number


def _weights(value: Any) -> tuple[float, ...]:
    try:
        weights = tuple(_number(f"weights[{k}]", w) for k, w in enumerate(value))
    except TypeError:
        raise DTypeError(
            f"weights must be a sequence of numbers, one per power; got {value!r}.", hint="weights=(0, 0, 1, 6.67)"
        ) from None
    if not weights:
        raise GraphrepError("weights is empty: at least one power is needed.", hint="weights=(0, 1, 1)")
    return weights


def _choice(name: str, value: Any, allowed: tuple[str, ...]) -> Any:
    if value not in allowed:
        raise UnknownNameError(f"{name} is {value!r}, which is no choice.", hint=" or ".join(map(repr, allowed)))
    return value


def _density(value: Any, gds: bool) -> Any:
    if isinstance(value, str):
        _choice("density", value, ("auto", "gaussian"))
        if gds:
            raise GraphrepError(f'rng="gds" has density 1/3 always; density is "{value}".', hint="leave density out")
        return value
    density = _number("density", value)
    if not 0.0 < density <= 1.0:
        raise GraphrepError(f"density must lie in (0, 1]; got {density}.", hint='1/3, "auto" or "gaussian"')
    if gds and density != 1 / 3:
        raise GraphrepError(f'rng="gds" has density 1/3 always; density is {density}.', hint="leave density out")
    return density


def _types(dtype: Any, storage: Any) -> tuple[torch.dtype, torch.dtype]:
    dtype, storage = _named_dtype(dtype), _named_dtype(storage)
    if dtype not in _DTYPES:
        raise DTypeError(f"dtype must be float32, float64, bfloat16 or float16; got {dtype}.", hint="torch.float32")
    if storage is None:
        storage = torch.float32 if dtype == torch.float16 else dtype
    allowed = (torch.float64,) if dtype == torch.float64 else (torch.float32, torch.bfloat16)
    if storage not in allowed:
        raise DTypeError(
            f"storage={storage} does not go with dtype={dtype}.", hint=" or ".join(map(str, allowed)) + ", or None"
        )
    return dtype, storage


def _named_dtype(value: Any) -> Any:
    """A torch dtype from its name, as configuration files have it."""
    found = getattr(torch, value, value) if isinstance(value, str) else value
    return found if found is None or isinstance(found, torch.dtype) else value
