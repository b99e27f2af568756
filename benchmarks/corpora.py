"""Texts, vectors and questions for the retrieval benchmarks: real chunks first, then mixtures of them up to any size.

Run: python benchmarks/corpora.py [--out FOLDER] [--sizes 10000 100000 1000000]

The text sets of the shared test data go through `rag ingest`, so that the chunks are cut and embedded as they really
are; the first rows are those chunks, shuffled (seeded). What a size needs beyond them is recombined: sentences of a
chunk and of up to two of its neighbours, and as a vector the mixture of theirs, weighted by how much text came from
each, with a little noise so that no two are equal. A smaller size is the beginning of a larger one. Questions are real
ones, embedded as questions are. What is there already is kept.

    FOLDER/10k/texts.jsonl   {"id": 1…n, "title", "text"} a line       FOLDER/queries.jsonl   {"id", "set", "text"}
    FOLDER/10k/vectors.npy   float32 (n, 384), unit rows, row id - 1   FOLDER/queries.npy     float32 (q, 384)
    FOLDER/10k/about.json    how many rows are real, how the others were made
"""

import argparse
import json
import random
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measuring import DATA, rag, run
from numpy.typing import NDArray

FOLDER = Path(tempfile.gettempdir()) / "bench"
SIZES = (10_000, 100_000, 1_000_000)
FOLDERS = ("docs-fastapi", "docs-ms-playbook", "docs-owasp-cheatsheets")
BEIR = ("xquad-en", "clapnq-dev", "liveqa-med-nih", "scifact")
QUESTIONS = 1_000
NEAR = 4  # neighbours of a chunk, by id, that a mixture may take from: mostly of the same document
NOISE = 0.2  # length of the noise beside a vector of length 1
BLOCK = 10_000
SEED = 5
SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Real:
    """The chunks as they were ingested, in the order of their ids."""

    titles: list[str]
    texts: list[str]  # heading path and text
    vectors: Rows  # (n, d)


def label(size: int) -> str:
    """10k, 100k, 1m: the folder of a size."""
    return f"{size // 1_000_000}m" if size % 1_000_000 == 0 else f"{size // 1_000}k" if size % 1_000 == 0 else str(size)


def ingested(out: Path) -> Real:
    """Take in the text sets (a second time that takes seconds), and read the chunks from SQL."""
    from sqlalchemy import func, select

    from ingest.headings import embedded_text
    from rag.config import load
    from rag.store.database import connect
    from rag.store.tables import chunks, contents, vectors
    from rag.store.vectors import unpack

    places = [DATA / name for name in FOLDERS] + [DATA / name / "corpus.jsonl" for name in BEIR]
    data = out / "real"
    done = run(rag("ingest", *map(str, places), "--json", data=data))
    if done.code not in (0, 3):  # 3: a file of the folders could not be read, which changes nothing here
        raise SystemExit(f"rag ingest ended with {done.code}; run it by hand into {data} to see why")
    database = connect(load({"data": data}).settings.database_url)
    query = (
        select(
            contents.c.title,
            chunks.c.headings,
            func.substr(contents.c.text, chunks.c.start + 1, chunks.c.end - chunks.c.start),
            vectors.c.data,
        )
        .join(contents, contents.c.id == chunks.c.content_id)
        .join(vectors, vectors.c.digest == chunks.c.digest)  # there is one embedder
        .where(chunks.c.removed_position.is_(None))
        .order_by(chunks.c.id)
    )
    try:
        with database.read() as connection:
            rows = connection.execute(query).all()
    finally:
        database.close()
    texts = [embedded_text("", tuple(row[1]), row[2]) for row in rows]
    return Real([row[0] for row in rows], texts, unpack([row[3] for row in rows], len(rows[0][3]) // 4))


def rows(real: Real, size: int) -> Iterator[tuple[str, str, Rows]]:
    """`size` titles, texts and vectors: the real ones first, then mixtures; the same ones for every size."""
    order = np.random.default_rng(SEED).permutation(len(real.texts))
    for index in order[:size]:
        yield real.titles[index], real.texts[index], real.vectors[index]
    chance, noise = random.Random(SEED), np.random.default_rng(SEED + 1)
    sentences = [[each for each in SENTENCE.split(text) if each.strip()] or [text] for text in real.texts]
    dim = real.vectors.shape[1]
    for number in range(size - len(order)):
        base = int(order[number % len(order)])
        near = range(max(0, base - NEAR), min(len(order), base + NEAR + 1))
        parts = [base, *chance.sample([each for each in near if each != base], 2)]
        taken, wanted = [], len(real.texts[base])
        weights = np.zeros(3, dtype=np.float32)
        while weights.sum() < wanted * 0.8:
            part = chance.choices(range(3), (3, 1, 1))[0]
            sentence = chance.choice(sentences[parts[part]])
            taken.append(sentence)
            weights[part] += len(sentence) + 1
        mixed = weights / weights.sum() @ real.vectors[parts]
        mixed /= np.linalg.norm(mixed)
        mixed += noise.standard_normal(dim, dtype=np.float32) * np.float32(NOISE / np.sqrt(dim))
        title = f"{real.titles[base] or 'Text'} ({number // len(order) + 2})"
        yield title, " ".join(taken), (mixed / np.linalg.norm(mixed)).astype(np.float32)


def write_size(real: Real, size: int, folder: Path) -> None:
    """texts.jsonl and vectors.npy of one size, each renamed into its place when it is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "truth.npz").unlink(missing_ok=True)  # of other vectors; retrieval.py makes it
    vectors = np.lib.format.open_memmap(  # type: ignore[no-untyped-call]
        folder / "vectors.part", mode="w+", dtype=np.float32, shape=(size, real.vectors.shape[1])
    )
    with (folder / "texts.part").open("w", encoding="utf-8") as texts:
        for number, (title, text, vector) in enumerate(rows(real, size)):
            vectors[number] = vector
            texts.write(json.dumps({"id": number + 1, "title": title, "text": text}, ensure_ascii=False) + "\n")
            if number % BLOCK == BLOCK - 1:
                print(f"{label(size)}: {number + 1:,} of {size:,}", file=sys.stderr)
    vectors.flush()
    about = {
        "chunks": size,
        "real": min(size, len(real.texts)),
        "sets": [*FOLDERS, *BEIR],
        "beyond": "recombined sentences of a chunk and up to two neighbours; their vectors are mixtures of the vectors "
        f"of these, weighted by length, with noise of length {NOISE}",
        "seed": SEED,
    }
    (folder / "about.json").write_text(json.dumps(about, indent=2) + "\n")
    (folder / "vectors.part").rename(folder / "vectors.npy")
    (folder / "texts.part").rename(folder / "texts.jsonl")


def write_questions(out: Path) -> None:
    """Real questions of the sets that have some, as evenly as there are enough, with their vectors."""
    from rag import embedders
    from rag.config import load

    chance, found = random.Random(SEED), []
    for name in BEIR:
        lines = (DATA / name / "queries.jsonl").read_text(encoding="utf-8").splitlines()
        here = [{"set": name, "text": json.loads(line)["text"]} for line in lines if line.strip()]
        chance.shuffle(here)
        found.append(here)
    chosen: list[dict[str, str]] = []
    while len(chosen) < QUESTIONS and any(found):
        chosen += [each.pop() for each in found if each]
    chosen = chosen[:QUESTIONS]
    embedder = embedders.load(embedders.DEFAULT, models_dir=load().settings.models)
    np.save(out / "queries.npy", embedder.embed_queries([each["text"] for each in chosen]))
    text = "".join(json.dumps({"id": number + 1, **each}) + "\n" for number, each in enumerate(chosen))
    (out / "queries.jsonl").write_text(text, encoding="utf-8")


def make(out: Path, sizes: tuple[int, ...] | list[int]) -> None:
    """All that is missing of the sizes, smallest first, and the questions."""
    out.mkdir(parents=True, exist_ok=True)
    missing = [size for size in sorted(sizes) if not (out / label(size) / "texts.jsonl").is_file()]
    if not missing:
        return
    real = ingested(out)
    for size in missing:
        write_size(real, size, out / label(size))
        if not (out / "queries.jsonl").is_file():
            write_questions(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    chosen = parser.parse_args()
    make(chosen.out, chosen.sizes)


if __name__ == "__main__":
    main()
