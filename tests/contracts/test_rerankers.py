"""What every reranker promises: one score a pair, in their order, the same alone and together, errors of our own."""

import re
from pathlib import Path

import numpy as np
import pytest

from rag import rerankers
from rag.errors import ModelNotReady, WrongSetting

PAIRS = [
    ("Where do bees dance?", "Bees dance in the hive."),
    ("Where do bees dance?", "Honey keeps for years."),
    ("", ""),
    ("Where?", "word " * 500),
]


def tiny_cross_encoder(folder: Path, outputs: int = 1) -> Path:
    """A random BERT of two layers that reads pairs, written into `folder`; returns the folder."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "bees", "dance", "honey", "where", "hive", "word"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=64,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = BertForSequenceClassification(
            BertConfig(
                vocab_size=len(words),
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=32,
                max_position_embeddings=64,
                num_labels=outputs,
            )
        )
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cross_encoder(tmp_path_factory.mktemp("cross"))


def test_every_backend_is_tested() -> None:
    assert rerankers.names() == ["cross_encoder"]


def test_one_score_a_pair(folder: Path) -> None:
    reranker = rerankers.load(f"cross_encoder:{folder}")
    scores = reranker.relevance(PAIRS)
    assert scores.shape == (4,)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    assert len(set(scores[:2].tolist())) == 2
    assert reranker.name == f"cross_encoder:{folder}"
    assert reranker.relevance([]).shape == (0,)


def test_a_path_alone_is_a_cross_encoder(folder: Path) -> None:
    named = rerankers.load(str(folder))
    assert named.name == f"cross_encoder:{folder}"
    assert np.array_equal(named.relevance(PAIRS), rerankers.load(f"cross_encoder:{folder}").relevance(PAIRS))
    with pytest.raises(ModelNotReady, match=r"(?s)cross-encoder/none cannot be loaded.*hf download"):
        rerankers.load("cross-encoder/none")


def test_a_pair_has_its_score_whatever_stands_beside_it(folder: Path) -> None:
    reranker = rerankers.load(f"cross_encoder:{folder}")
    together = reranker.relevance(PAIRS)
    alone = np.concatenate([reranker.relevance([pair]) for pair in PAIRS])
    assert np.allclose(together, alone, atol=1e-5)
    assert np.allclose(reranker.relevance(PAIRS[::-1]), together[::-1], atol=1e-5)


def test_what_is_no_reranker_is_refused(tmp_path: Path) -> None:
    for name in ("", "nobody", "nobody:x", "cross_encoder:"):
        with pytest.raises(WrongSetting):
            rerankers.load(name)
    with pytest.raises(ModelNotReady, match="3 outputs"):
        rerankers.load(f"cross_encoder:{tiny_cross_encoder(tmp_path / 'three', 3)}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelNotReady, match="cannot be loaded"):
        rerankers.load(f"cross_encoder:{tmp_path / 'empty'}")


@pytest.mark.parametrize("path", ["./nope", "../nope", "/nope", "~/nope", "~nobody-here/nope", ".nope", "./a/b"])
def test_a_path_without_a_folder_is_named(path: str) -> None:
    for name in (path, f"cross_encoder:{path}"):
        with pytest.raises(ModelNotReady, match=rf"^there is no folder {re.escape(path)}; name the folder of a cross-"):
            rerankers.load(name)


def test_a_path_from_home_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    scores = rerankers.load(f"~/{folder.name}").relevance(PAIRS)
    assert np.array_equal(scores, rerankers.load(str(folder)).relevance(PAIRS))
