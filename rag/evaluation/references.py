"""How near a text is to gold ones: the measures of question answering, summarising and translating; pure.

Each takes what was said and one or more gold answers, and gives 0…1, 1 for one that says the same words. Texts are
compared without regard to case. Scripts that leave no spaces between words are compared character by character, as
MLQA does (Lewis et al. 2020).
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_UNSPACED = re.compile(r"([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])")
_RUN = re.compile(r"[^\W_]+")


def normalised(text: str) -> str:
    """A text as SQuAD compares it: small letters, no punctuation, no English article, single spaces between words
    (Rajpurkar et al. 2016, the official evaluation script); the punctuation of every script counts as such."""
    kept = "".join(
        c for c in text.lower() if c not in string.punctuation and not unicodedata.category(c).startswith("P")
    )
    return " ".join(_UNSPACED.sub(r" \1 ", _ARTICLES.sub(" ", kept)).split())


def exact_match(said: str, gold: Sequence[str]) -> float:
    """1 when what was said is one of the gold answers once both are `normalised`, else 0."""
    return float(any(normalised(said) == normalised(one) for one in gold))


def token_f1(said: str, gold: Sequence[str]) -> float:
    """The harmonic mean of the shares of words in common, of the gold answer that fits best (Rajpurkar et al. 2016)."""
    return max(_f1(normalised(said).split(), normalised(one).split()) for one in gold)


def _f1(said: Sequence[str], gold: Sequence[str]) -> float:
    if not said or not gold:
        return float(said == gold)
    common = (Counter(said) & Counter(gold)).total()
    return _harmonic(common / len(said), common / len(gold))


def rouge_l(said: str, gold: Sequence[str]) -> float:
    """The F1 of the longest common subsequence of words, of the gold answer that fits best (Lin 2004, "ROUGE: A Package
    for Automatic Evaluation of Summaries"); unstemmed, as `rouge-score` has it by default."""
    return max(_subsequence(_words(said), _words(one)) for one in gold)


def _subsequence(said: Sequence[str], gold: Sequence[str]) -> float:
    from rapidfuzz.distance import LCSseq

    if not said or not gold:
        return 0.0
    common = LCSseq.similarity(said, gold)
    return _harmonic(common / len(said), common / len(gold))


def _words(text: str) -> list[str]:
    return _RUN.findall(_UNSPACED.sub(r" \1 ", text.lower()))


def _harmonic(one: float, other: float) -> float:
    return 2 * one * other / (one + other) if one + other else 0.0


def bleu(said: str, gold: Sequence[str]) -> float:
    """The BLEU of one sentence against all gold answers together (Papineni et al. 2002), as sacrebleu has it (Post
    2018): up to four words, fewer in short texts, smoothed; its hundredth. Where a gold answer is in a script without
    spaces, characters take the place of words."""
    from sacrebleu.metrics.bleu import BLEU

    unspaced = any(_UNSPACED.search(one) for one in gold)
    measure = BLEU(effective_order=True, tokenize="char" if unspaced else "13a", lowercase=True)
    return min(1.0, max(0.0, float(measure.sentence_score(said, list(gold)).score) / 100))
