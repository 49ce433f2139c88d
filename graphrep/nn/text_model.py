"""Language models from and to local directories: offline, weights as safetensors, no code of the directory is run."""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from graphrep.data._tokenizer import transformers
from graphrep.errors import FileFormatError, GraphrepError

__all__ = ["load_text_model", "merged", "quiet", "save_text_model"]


def load_text_model(path: str | os.PathLike[str]) -> nn.Module:
    """The transformers model of a directory, in evaluation mode and without a pooler.

    The pooler (a linear layer on the first token) is left out, as sentence encoders carry an untrained one. Of an
    encoder-decoder the encoder is taken.

    Args:
        path: a folder with ``config.json`` and weights as ``*.safetensors``.

    Raises:
        FileFormatError: no such folder, weights in another (pickled) format, weights that are missing or of other
            shapes, or an architecture that would need code from the folder.
        MissingExtraError: transformers is not installed.

    Example:
        >>> load_text_model("no/such/folder")
        Traceback (most recent call last):
            ...
        graphrep.errors.FileFormatError: There is no model directory no/such/folder.
        Try: a folder with config.json and model.safetensors
    """
    folder = Path(path)
    if not folder.is_dir():
        raise FileFormatError(
            f"There is no model directory {folder}.",
            hint="a folder with config.json and model.safetensors",
        )
    if not any(folder.glob("*.safetensors")):
        raise FileFormatError(
            f"{folder} holds no weights as safetensors; pickled weights are not read.",
            hint="model.save_pretrained(folder), which writes model.safetensors",
        )
    library = transformers()
    with quiet(library):
        model, found = _load(library, folder)
    missing = sorted(key for key in found["missing_keys"] if "pooler" not in key)
    if missing:
        raise FileFormatError(
            f"{folder} lacks {len(missing)} of the model's weights ({', '.join(missing[:3])}, ...).",
            hint="the weights and config.json must be of one model",
        )
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    if getattr(model.config, "is_encoder_decoder", False):
        model = model.get_encoder()
    return model.eval()  # type: ignore[no-any-return]


def _load(library: Any, folder: Path) -> tuple[Any, dict[str, Any]]:
    options = {"local_files_only": True, "use_safetensors": True, "trust_remote_code": False}
    try:
        try:
            return library.AutoModel.from_pretrained(  # type: ignore[no-any-return]
                str(folder), add_pooling_layer=False, output_loading_info=True, **options
            )
        except TypeError:  # an architecture without a pooler does not know the argument
            return library.AutoModel.from_pretrained(str(folder), output_loading_info=True, **options)  # type: ignore[no-any-return]
    except Exception as error:  # a damaged directory may fail anywhere inside transformers
        raise FileFormatError(
            f"{folder} cannot be loaded as a language model: {error}", hint="AutoModel.from_pretrained must know it"
        ) from error


@contextmanager
def quiet(library: Any) -> Iterator[None]:
    """Without reports about weights that are left out on purpose, and without progress bars."""
    level, bars = library.logging.get_verbosity(), library.logging.is_progress_bar_enabled()
    library.logging.set_verbosity_error()
    library.logging.disable_progress_bar()
    try:
        yield
    finally:
        library.logging.set_verbosity(level)
        if bars:
            library.logging.enable_progress_bar()


def save_text_model(model: nn.Module, tokenizer: Any, path: str | os.PathLike[str]) -> Path:
    """Writes a model directory (config, safetensors, tokenizer) that appears complete; LoRA adapters are merged in.

    Args:
        model: a transformers model.
        tokenizer: of transformers, or None to leave it out.
        path: the folder; a model directory that is there is replaced.

    Raises:
        GraphrepError: not a transformers model, something else is at `path`, or it cannot be written.
    """
    target = Path(path)
    if not hasattr(model, "save_pretrained"):
        raise GraphrepError(f"{type(model).__name__} is no transformers model.", hint="torch.save(model.state_dict())")
    if target.exists() and any(target.iterdir()) and not (target / "config.json").is_file():
        raise GraphrepError(f"{target} is there already and is no model directory.", hint="a new folder")
    part = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    old = part.with_suffix(".old")
    try:
        part.mkdir(parents=True)
        with quiet(transformers()):
            merged(model).save_pretrained(str(part), safe_serialization=True)
            if tokenizer is not None:
                tokenizer.save_pretrained(str(part))
        if target.exists():
            os.replace(target, old)
        os.replace(part, target)
    except OSError as error:
        raise GraphrepError(f"{target} cannot be written: {error.strerror or error}.", hint="another folder") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    return target


def merged(model: Any) -> Any:
    """The model with its LoRA adapters added to the weights they adapt (a copy), or itself if it has none."""
    if not any(hasattr(module, "lora_A") for module in model.modules()):
        return model
    plain = copy.deepcopy(model)
    for name, module in list(plain.named_modules()):
        if hasattr(module, "lora_A"):
            module.merge()
            parent, _, own = name.rpartition(".")
            setattr(plain.get_submodule(parent), own, module.get_base_layer())
    plain._hf_peft_config_loaded = False
    return plain
