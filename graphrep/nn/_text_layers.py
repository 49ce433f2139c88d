"""The transformer layers of a language model: where they are, and running only the lower or the upper ones."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from graphrep.errors import GraphrepError

__all__ = ["SplitModel", "enable_checkpointing", "layer_list"]


def layer_list(model: nn.Module) -> tuple[str, nn.ModuleList]:
    """The module name of the list of layers, and the list.

    It is the list that has as many members as the configuration says, or, without one, the list with the most weights.

    Raises:
        GraphrepError: there is none (layers that share weights, for example).
    """
    config = getattr(model, "config", None)
    wanted = getattr(config, "num_hidden_layers", None)
    lists = [(name, part) for name, part in model.named_modules() if isinstance(part, nn.ModuleList) and name]
    fitting = [(name, part) for name, part in lists if wanted is None or len(part) == wanted]
    if not fitting:
        raise GraphrepError(
            f"{type(model).__name__} has no list of transformer layers"
            + ("." if wanted is None else f" of length {wanted}."),
            hint="train_layers=None trains all weights, train_layers=0 none",
        )
    return max(fitting, key=lambda item: sum(p.numel() for p in item[1].parameters()))


def enable_checkpointing(model: Any) -> None:
    """Computes the states of trained layers again in the backward pass instead of keeping them.

    Raises:
        GraphrepError: the model is not one of transformers, or cannot.
    """
    names = ("activation_checkpointing_enable", "gradient_checkpointing_enable")  # since transformers 5, and before
    enable: Any = next((getattr(model, name) for name in names if hasattr(model, name)), None)
    if enable is None or not getattr(model, "supports_gradient_checkpointing", False):
        raise GraphrepError(
            f"{type(model).__name__} has no gradient checkpointing.", hint="gradient_checkpointing=False"
        )
    options: dict[str, Any] = {f"{enable.__name__.removesuffix('_enable')}_kwargs": {"use_reentrant": False}}
    enable(**options)
    model.config.use_cache = False
    if hasattr(model, "disable_input_require_grads"):
        # Embeddings that ask for a gradient would send the backward pass through the frozen layers too.
        model.disable_input_require_grads()


class SplitModel:
    """Runs the layers below a cut, or those above it on stored states; the weights are those of the model itself.

    The model's own forward pass is run on a shallow copy whose list of layers is exchanged, so that masks, positions
    and final norms are made as the model makes them.

    Args:
        model: with a list of layers.
        cut: layers below; 0 for the embeddings alone.
    """

    def __init__(self, model: nn.Module, cut: int) -> None:
        self._model, self._cut = model, cut
        self._name, self._layers = layer_list(model)
        self._tuple: bool | None = None

    def lower(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, L, h) states below the cut."""
        if self._cut == len(self._layers):
            return self._model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state  # type: ignore[no-any-return]
        try:
            model = self._with([*self._layers[: self._cut], _Stop(self._layers[self._cut])])
            model(input_ids=input_ids, attention_mask=attention_mask)
        except _ReachedError as reached:
            return reached.hidden
        raise GraphrepError(f"{type(self._model).__name__} did not run its layers.", hint="train_layers=None")

    def upper(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, L, h) last states from those below the cut."""
        if self._cut == len(self._layers):
            return hidden
        as_tuple = self._returns_tuple(hidden.device)
        skipped = [_Skip(layer, as_tuple) for layer in self._layers[: self._cut]]
        resumed = _Resume(self._layers[self._cut], hidden)
        model = self._with([*skipped, resumed, *self._layers[self._cut + 1 :]])
        ids = torch.zeros(hidden.shape[:2], dtype=torch.int64, device=hidden.device)  # only their shape matters
        return model(input_ids=ids, attention_mask=attention_mask).last_hidden_state  # type: ignore[no-any-return]

    def lower_weights(self) -> dict[str, Tensor]:
        """Everything in the model's state that does not belong to the layers above the cut."""
        upper = tuple(f"{self._name}.{i}." for i in range(self._cut, len(self._layers)))
        return {name: value for name, value in self._model.state_dict().items() if not name.startswith(upper)}

    def _returns_tuple(self, device: torch.device) -> bool:
        """Whether layers hand on a tuple (older transformers) or a tensor; seen once on a text of one token."""
        if self._tuple is None:
            seen: list[bool] = []
            hook = self._layers[0].register_forward_hook(lambda _m, _a, out: seen.append(isinstance(out, tuple)))
            one = torch.ones(1, 1, dtype=torch.int64, device=device)
            try:
                with torch.no_grad():
                    self._model(input_ids=one - 1, attention_mask=one)
            finally:
                hook.remove()
            self._tuple = seen[0]
        return self._tuple

    def _with(self, layers: list[nn.Module]) -> nn.Module:
        model = node = _shallow(self._model)
        *path, last = self._name.split(".")
        for name in path:
            child = _shallow(node._modules[name])
            node._modules[name] = child
            node = child
        node._modules[last] = nn.ModuleList(layers)
        return model


def _shallow(module: Any) -> nn.Module:
    copied: nn.Module = module.__class__.__new__(module.__class__)
    copied.__dict__ = dict(module.__dict__)
    copied._modules = dict(module._modules)
    return copied


class _ReachedError(Exception):
    """Carries the states out of a forward pass that need not go on."""

    def __init__(self, hidden: Tensor) -> None:
        super().__init__("the cut is reached")
        self.hidden = hidden


class _Stand(nn.Module):
    """Stands for a layer; what models ask of their layers (the kind of attention, for example) is asked of that one."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("layer"), name)


class _Stop(_Stand):
    def forward(self, hidden_states: Tensor, *args: Any, **options: Any) -> Tensor:
        raise _ReachedError(hidden_states)


class _Skip(_Stand):
    def __init__(self, layer: nn.Module, as_tuple: bool) -> None:
        super().__init__(layer)
        self._as_tuple = as_tuple

    def forward(self, hidden_states: Tensor, *args: Any, **options: Any) -> Any:
        return (hidden_states,) if self._as_tuple else hidden_states


class _Resume(_Stand):
    """Runs its layer on given states instead of those that it is handed."""

    def __init__(self, layer: nn.Module, hidden: Tensor) -> None:
        super().__init__(layer)
        self._hidden = hidden

    def forward(self, hidden_states: Tensor, *args: Any, **options: Any) -> Any:
        return self.layer(self._hidden, *args, **options)
