"""Retrieval metrics as trec_eval defines them, pure: judgements and a run become one number a query.

Names are trec_eval's: `ndcg_cut_10`, `recall_100`, `P_5`, `success_1`, `recip_rank`, `map`. A document is relevant when
its grade is 1 or more. Every judged query counts: one for which nothing was found scores zero, it is not left out
(BEIR's own evaluator leaves it out, which flatters a silent system).
"""

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from math import fsum, log2

from rag.errors import WrongUsage

Judgements = Mapping[str, int]
"""Document → grade, of one query."""
Scored = Mapping[str, float]
"""Document → score, of one query; higher is better."""
Metric = Callable[[Sequence[int], Sequence[int]], float]
"""From the grades of the ranking (best first, 0 where unjudged) and all positive grades, to a value 0…1."""


def ranked(scored: Scored) -> list[str]:
    """The documents best first. As in trec_eval, scores are compared in single precision, and of equal ones the
    document with the greater name (by bytes) comes first."""
    keyed = (
        (_single(score), document.encode("utf-8", "surrogatepass"), document) for document, score in scored.items()
    )
    return [name for _, _, name in sorted(keyed, reverse=True)]


def _single(score: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", score))[0])


def ndcg(grades: Sequence[int], positive: Sequence[int], k: int) -> float:
    """Discounted gain of the first k over that of the best possible ranking: gain is the grade, the discount
    log2(rank + 1) (Järvelin and Kekäläinen 2002; trec_eval's ndcg_cut_k)."""
    ideal = _dcg(sorted(positive, reverse=True)[:k])
    return _dcg(grades[:k]) / ideal if ideal else 0.0


def _dcg(grades: Sequence[int]) -> float:
    return fsum(max(0, grade) / log2(rank + 1) for rank, grade in enumerate(grades, 1))


def recall(grades: Sequence[int], positive: Sequence[int], k: int) -> float:
    """The share of the relevant documents that stand among the first k."""
    return _relevant(grades[:k]) / len(positive) if positive else 0.0


def precision(grades: Sequence[int], positive: Sequence[int], k: int) -> float:
    """The share of the first k places that hold a relevant document; an empty place holds none."""
    return _relevant(grades[:k]) / k


def success(grades: Sequence[int], positive: Sequence[int], k: int) -> float:
    """1 when a relevant document stands among the first k, else 0."""
    return float(_relevant(grades[:k]) > 0)


def recip_rank(grades: Sequence[int], positive: Sequence[int]) -> float:
    """One over the rank of the first relevant document; 0 when there is none."""
    return next((1 / rank for rank, grade in enumerate(grades, 1) if grade >= 1), 0.0)


def average_precision(grades: Sequence[int], positive: Sequence[int]) -> float:
    """The mean, over all relevant documents, of the precision at their rank; 0 for those that were not found."""
    hits = [rank for rank, grade in enumerate(grades, 1) if grade >= 1]
    return fsum(i / rank for i, rank in enumerate(hits, 1)) / len(positive) if positive else 0.0


def _relevant(grades: Sequence[int]) -> int:
    return sum(grade >= 1 for grade in grades)


_PLAIN: Mapping[str, Metric] = {"recip_rank": recip_rank, "map": average_precision}
_CUT = {"ndcg_cut": ndcg, "recall": recall, "P": precision, "success": success}


def metric(name: str) -> Metric:
    """The metric of this name. Raises WrongUsage when trec_eval's families that are known here have none such."""
    if name in _PLAIN:
        return _PLAIN[name]
    parts = re.fullmatch(r"(\w+)_([1-9]\d{0,5})", name)
    if parts is None or parts[1] not in _CUT:
        known = ", ".join([*(f"{family}_<k>" for family in _CUT), *_PLAIN])
        raise WrongUsage(f"no metric {name!r}; there are {known}")
    function, k = _CUT[parts[1]], int(parts[2])
    return lambda grades, positive: function(grades, positive, k)


def by_query(name: str, qrels: Mapping[str, Judgements], run: Mapping[str, Scored]) -> dict[str, float]:
    """The metric for every judged query; those that the run does not know are 0."""
    measure = metric(name)
    found = {}
    for query, judged in qrels.items():
        grades = [judged.get(document, 0) for document in ranked(run.get(query, {}))]
        found[query] = measure(grades, [grade for grade in judged.values() if grade >= 1])
    return found
