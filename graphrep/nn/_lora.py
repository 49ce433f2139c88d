"""Low-rank adapters in a language model, through peft."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from graphrep.errors import GraphrepError, MissingExtraError
from graphrep.nn._text_layers import layer_list

__all__ = ["add_lora"]


def add_lora(model: nn.Module, lora: int | dict[str, Any], train_layers: int | None, seed: int) -> None:
    """Puts adapters into `model` and freezes everything else; the adapted weights begin with their old values.

    Raises:
        MissingExtraError: peft is not installed.
        GraphrepError: a rank below 1, no layer to adapt, or arguments that peft does not take for this model.
    """
    try:
        import peft
    except ImportError as error:
        raise MissingExtraError(
            "LoRA needs peft, which is not installed.", hint='pip install "graphrep[lora]"'
        ) from error
    if isinstance(lora, bool) or (isinstance(lora, int) and lora < 1):
        raise GraphrepError(f"lora is {lora}.", hint="a rank of 1 or more, or a dict of LoraConfig's arguments")
    if train_layers == 0:
        raise GraphrepError("lora adapts layers, but train_layers is 0.", hint="train_layers=None, or lora=None")
    options: dict[str, Any] = {"r": lora, "lora_alpha": 2 * lora} if isinstance(lora, int) else dict(lora)
    if train_layers is not None:
        count = len(layer_list(model)[1])
        options["layers_to_transform"] = list(range(count - train_layers, count))
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            peft.inject_adapter_in_model(peft.LoraConfig(**options), model)
    except (TypeError, ValueError) as error:
        raise GraphrepError(
            f"peft cannot adapt {type(model).__name__}: {error}", hint='lora={"r": 8, "target_modules": ["query"]}'
        ) from error
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)
