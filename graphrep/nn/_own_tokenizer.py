"""A tokenizer learnt from some texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphrep.data._tokenizer import transformers

__all__ = ["train_tokenizer"]

_SPECIAL = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
_MAX_ALPHABET = 1000


def train_tokenizer(texts: Sequence[str], vocab_size: int, max_length: int) -> Any:
    """A transformers tokenizer of byte-pair merges on lower-case words, ``[CLS] ... [SEP]``; the same for equal texts.

    Merges and not WordPiece, as the WordPiece trainer of the tokenizers library numbers its pieces in a random order.

    Raises:
        MissingExtraError: transformers is not installed.
    """
    library = transformers()
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    special = list(_SPECIAL.values())
    tokenizer = Tokenizer(models.BPE(unk_token=_SPECIAL["unk"]))
    tokenizer.normalizer = normalizers.Sequence([normalizers.BertNormalizer(lowercase=True), normalizers.Strip()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()])
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=special,
        limit_alphabet=min(_MAX_ALPHABET, vocab_size),
        show_progress=False,
    )
    tokenizer.train_from_iterator((str(text) for text in texts), trainer, length=len(texts))
    ends = [(token, tokenizer.token_to_id(token)) for token in (_SPECIAL["cls"], _SPECIAL["sep"])]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    names = {f"{name}_token": token for name, token in _SPECIAL.items()}
    return library.PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=max_length, **names)
