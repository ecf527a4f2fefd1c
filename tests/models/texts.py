"""Small text classifiers made in the test: tokenizers trained on a few words, networks of two layers of 32."""

import io
import json
import zipfile
from copy import deepcopy
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

_SAID = (
    "the a an this that film story actor scene music plot ending was is felt looked great dull fine slow bright dark "
    "loud warm cold strange happy sad very quite rather almost and but or with without of in on for long short"
)
WORDS = _SAID.split()
CLASSES = ("negative", "positive")


def sentences(count: int, seed: int = 0, longest: int = 9) -> list[str]:
    """Short texts of random words, some of them unknown to the tokenizers."""
    rng = np.random.default_rng(seed)
    return [
        " ".join(rng.choice([*WORDS, "zzz", "film,", "dull."], size=rng.integers(1, longest + 1))) for _ in range(count)
    ]


def wordpiece() -> Any:
    """A fast BERT tokenizer whose words are whole, punctuation apart."""
    import tokenizers
    from transformers import PreTrainedTokenizerFast

    inner = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))
    inner.normalizer = tokenizers.normalizers.BertNormalizer()
    inner.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = tokenizers.trainers.WordPieceTrainer(vocab_size=400, special_tokens=names, show_progress=False)
    inner.train_from_iterator([" ".join(WORDS)] * 50 + ["film, dull."] * 5, trainer)
    inner.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    inner.decoder = tokenizers.decoders.WordPiece()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_max_length=64,
    )  # fmt: skip


def byte_level() -> Any:
    """A fast RoBERTa tokenizer: bytes, a space before a word as part of it."""
    import tokenizers
    from transformers import PreTrainedTokenizerFast

    inner = tokenizers.Tokenizer(tokenizers.models.BPE())
    inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    names = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=names,
        show_progress=False,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
    )
    inner.train_from_iterator([f"a {' '.join(WORDS)}"] * 50, trainer)
    inner.post_processor = tokenizers.processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    inner.decoder = tokenizers.decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", unk_token="<unk>", cls_token="<s>", sep_token="</s>",
        mask_token="<mask>", model_max_length=64,
    )  # fmt: skip


SHAPES = {
    "bert": (wordpiece, {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}),
    "distilbert": (wordpiece, {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64}),
    "electra": (
        wordpiece,
        {
            "embedding_size": 16,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 64,
        },
    ),
    "albert": (
        wordpiece,
        {
            "embedding_size": 16,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 64,
        },
    ),
    "deberta-v2": (
        wordpiece,
        {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64},
    ),
    "roberta": (
        byte_level,
        {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64},
    ),
    "xlm-roberta": (
        byte_level,
        {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64},
    ),
}


@cache
def classifier(kind: str = "bert", classes: tuple[str, ...] = CLASSES) -> tuple[Any, Any]:
    """A network of random weights, large enough that texts differ, and its tokenizer."""
    import torch
    from transformers import CONFIG_MAPPING, AutoModelForSequenceClassification

    make, sizes = SHAPES[kind]
    tokenizer = make()
    torch.manual_seed(3)
    config = CONFIG_MAPPING[kind](
        **sizes,
        vocab_size=len(tokenizer),
        max_position_embeddings=72,
        pad_token_id=tokenizer.pad_token_id,
        id2label=dict(enumerate(classes)),
        label2id={name: place for place, name in enumerate(classes)},
    )
    network = AutoModelForSequenceClassification.from_config(config).eval()
    with torch.no_grad():
        for weights in network.parameters():
            weights.mul_(3.0)
    return network, tokenizer


@cache
def planted(word: str = "great") -> tuple[Any, Any]:
    """A BERT that was trained until one word alone decides: positive where it stands in the text."""
    import torch

    network, tokenizer = classifier()
    network = deepcopy(network)
    plain = [" ".join(each for each in text.split() if each != word) for text in sentences(300, seed=5)]
    rng = np.random.default_rng(6)
    texts = [with_word(text, word, rng) if i % 2 else text for i, text in enumerate(plain)]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    truth = torch.arange(len(texts)) % 2
    with torch.no_grad():
        for weights in network.parameters():
            weights.div_(3.0)
    taught = torch.optim.Adam(network.parameters(), 2e-3)
    for _ in range(200):  # steps; far fewer do
        chosen = torch.tensor(rng.permutation(len(texts))[:60])
        kept = {name: batch[name][chosen] for name in ("input_ids", "attention_mask")}
        loss = torch.nn.functional.cross_entropy(network(**kept).logits, truth[chosen])
        if loss < 0.005:
            break
        taught.zero_grad()
        loss.backward()
        taught.step()
    return network, tokenizer


def with_word(text: str, word: str, rng: np.random.Generator) -> str:
    """`text` with `word` somewhere in it."""
    words = text.split()
    words.insert(int(rng.integers(len(words) + 1)), word)
    return " ".join(words)


def folder(network: Any, tokenizer: Any) -> dict[str, bytes]:
    """The files that `save_pretrained` writes, by name."""
    with TemporaryDirectory() as place:
        network.save_pretrained(place)
        tokenizer.save_pretrained(place)
        return {path.name: path.read_bytes() for path in Path(place).iterdir()}


def zipped(files: dict[str, bytes], under: str = "") -> bytes:
    """Files as a zip, under one folder where it is named."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(f"{under}{name}", body)
    return buffer.getvalue()


def with_config(files: dict[str, bytes], **changes: Any) -> dict[str, bytes]:
    """The files with other values in config.json."""
    config = json.loads(files["config.json"]) | changes
    return files | {"config.json": json.dumps(config).encode()}
