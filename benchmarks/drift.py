"""Which questions lie out of a corpus, and how well topics are told apart: rules and cuts on real questions.

Run: python benchmarks/drift.py. The corpus is clapnq-dev, the first 700 characters of each passage. Which share of
foreign questions (health, scientific claims) and of answerable ones lies out, when the limit comes from half of the
answerable questions, as rag.insight.drift has it, and when it comes from the documents themselves (each one's nearest
other)? Then xquad-en, whose questions belong to paragraphs: how well do clusters agree with these (adjusted Rand index,
Hubert and Arabie 1985) at each cut.
"""

import json
import os
from pathlib import Path

import numpy as np
from measuring import DATA, write
from sklearn.metrics import adjusted_rand_score, homogeneity_completeness_v_measure

from rag import embedders
from rag.config import load
from rag.insight import clusters
from rag.insight.drift import INSIDE
from rag.types import Vectors

CUTS = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6)
QUESTIONS = 1000
LONGEST = 700  # characters


def texts(name: str, file: str) -> dict[str, str]:
    rows = [json.loads(line) for line in (DATA / name / file).read_text(encoding="utf-8").splitlines()]
    return {row["_id"]: f"{row.get('title', '')}\n{row['text']}".strip() for row in rows}


def judged(name: str) -> dict[str, str]:
    """Question → its first relevant document."""
    lines = (DATA / name / "qrels" / "test.tsv").read_text(encoding="utf-8").splitlines()[1:]
    rows = [line.split("\t") for line in lines]
    return {query: document for query, document, grade in reversed(rows) if int(grade) > 0}


def quantiles(values: Vectors) -> dict[str, float]:
    return {f"p{share}": round(float(np.quantile(values, share / 100)), 3) for share in (5, 25, 50, 75, 95)}


def main() -> None:
    settings = load({}).settings
    embedder = embedders.load(settings.embedder, models_dir=Path(os.environ.get("RAG_MODELS", settings.models)))
    corpus = embedder.embed_passages(
        [text[:LONGEST] for text in texts("clapnq-dev", "corpus.jsonl").values()]
    )  # (n, d)
    alike = corpus @ corpus.T
    np.fill_diagonal(alike, -1)
    others = alike.max(axis=1)

    def nearest(questions: list[str]) -> Vectors:
        found: Vectors = (embedder.embed_queries(questions) @ corpus.T).max(axis=1)
        return found

    asked, answered = texts("clapnq-dev", "queries.jsonl"), judged("clapnq-dev")
    answerable = nearest([text for key, text in asked.items() if key in answered])
    held_out = {
        "answerable, the other half": answerable[1::2],
        "not answerable": nearest([text for key, text in asked.items() if key not in answered]),
        "health (liveqa-med-nih)": nearest(list(texts("liveqa-med-nih", "queries.jsonl").values())),
        "scientific claims (scifact)": nearest(list(texts("scifact", "queries.jsonl").values())),
    }
    limits = {
        "answered questions": float(np.quantile(answerable[::2], 1 - INSIDE)),
        "documents, each one's nearest other": float(np.quantile(others, 1 - INSIDE)),
    }
    found = {
        name: {"limit": round(limit, 3)}
        | {kind: round(float((cosines < limit).mean()), 3) for kind, cosines in held_out.items()}
        for name, limit in limits.items()
    }
    paragraphs = judged("xquad-en")
    questions = dict(list(texts("xquad-en", "queries.jsonl").items())[:QUESTIONS])
    rows = embedder.embed_queries(list(questions.values()))
    truth = [paragraphs[key] for key in questions]
    cuts = {}
    for cut in CUTS:
        clusters.ALIKE = cut
        told = [0] * len(rows)
        groups = clusters.clusters(rows, list(questions.values()), weights=[1] * len(rows), smallest=1)
        for number, group in enumerate(groups):
            for row in group.members:
                told[row] = number
        same, whole, _ = homogeneity_completeness_v_measure(truth, told)
        cuts[str(cut)] = {
            "clusters of three or more": sum(len(group.members) >= 3 for group in groups),
            "adjusted Rand": round(float(adjusted_rand_score(truth, told)), 3),
            "homogeneity": round(float(same), 3),
            "completeness": round(float(whole), 3),
        }
    write(
        "drift",
        {
            "embedder": embedder.name,
            "nearest cosine": {name: quantiles(cosines) for name, cosines in held_out.items()},
            "share out, by where the limit comes from": found,
            "clusters by cut": cuts,
        },
    )


if __name__ == "__main__":
    main()
