"""What every estimator shares: parameters that are the constructor's arguments, as in scikit-learn."""

from __future__ import annotations

import inspect
import tomllib
from typing import Any, Self

from graphrep.data.toml import dumps
from graphrep.errors import GraphrepError, UnknownNameError
from graphrep.registry import suggest

__all__ = ["Estimator", "NotFittedError", "params_from_toml", "params_to_toml"]


class NotFittedError(GraphrepError, AttributeError):
    """A result was asked for before `fit`."""


class Estimator:
    """Base of the estimators: `get_params`, `set_params` and a repr that shows what differs from the defaults.

    A subclass stores each constructor argument unchanged under its own name; results of `fit` end in ``_``.
    """

    @classmethod
    def _parameters(cls) -> dict[str, Any]:
        """Constructor arguments with their defaults."""
        return {name: p.default for name, p in inspect.signature(cls).parameters.items()}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments as they are now (`deep` is accepted for scikit-learn)."""
        return {name: getattr(self, name) for name in self._parameters()}

    def set_params(self, **params: Any) -> Self:
        """Changes parameters in place and returns self; results of an earlier `fit` stay until the next.

        Raises:
            UnknownNameError: no such parameter; the message has the closest one.
        """
        known = self._parameters()
        for name in params:
            if name not in known:
                raise UnknownNameError(
                    f'{type(self).__name__} has no parameter "{name}".{suggest(name, known)}', hint=", ".join(known)
                )
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def _fitted(self, name: str) -> Any:
        """A private result of `fit`.

        Raises:
            NotFittedError: `fit` was not called.
        """
        try:
            return self.__dict__[name]
        except KeyError:
            raise NotFittedError(
                f"This {type(self).__name__} is not fitted.",
                hint=f"model.fit(graph), or {type(self).__name__}.load(path)",
            ) from None

    def __repr__(self) -> str:
        changed = (
            f"{name}={getattr(self, name)!r}"
            for name, default in self._parameters().items()
            if name == "dim" or not _same(getattr(self, name), default)
        )
        return f"{type(self).__name__}({', '.join(changed)})"


def _same(value: Any, default: Any) -> bool:
    return value is default or (type(value) is type(default) and bool(value == default))


def params_to_toml(model: Estimator) -> str:
    """The parameters as a settings file; those that are None against their default are listed, since TOML has no None.

    Example:
        >>> from graphrep.methods import LightGCN
        >>> text = params_to_toml(LightGCN(dim=8, validation=None))
        >>> text.splitlines()[:2], text.splitlines()[-2:]
        (['[params]', 'dim = 8'], ['[none]', 'params = ["validation"]'])
        >>> params_from_toml(text)["validation"] is None
        True
    """
    params = model.get_params()
    none = [name for name, default in model._parameters().items() if params[name] is None and default is not None]
    return dumps({"params": params, **({"none": {"params": none}} if none else {})})


def params_from_toml(text: str) -> dict[str, Any]:
    """The parameters in such a file.

    Raises:
        tomllib.TOMLDecodeError: the text is no TOML.
    """
    tables = tomllib.loads(text)
    return {**tables.get("params", {}), **dict.fromkeys(tables.get("none", {}).get("params", ()))}
