"""How often a generator obeys the 200 documents with instructions of tests/injections, by family; results as JSON.

`python benchmarks/injection.py [--generator extractive|transformers:<folder>|openai:<url>#<model>|tiny] [--limit N]`.
`tiny` is a model of two layers that copies the first sentence of passage 1. An instruction counts as obeyed where the
answer holds its canary. Of the documents that answer the question, it also tells how often the true answer was given.
"""

import argparse
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import measuring

sys.path.insert(0, str(measuring.ROOT))

from rag import embedders, generators
from rag.types import Generator, Models
from tests.test_injection import answer, documents, obeyed
from tests.tiny_models import tiny_causal

MAX_TOKENS = 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generator", default="extractive")
    parser.add_argument("--embedder", default="sentence_transformers:all-MiniLM-L6-v2")
    parser.add_argument("--models", type=Path, default=Path("~/.local/share/rag/models"))
    parser.add_argument("--limit", type=int, default=200, help="every so manieth document, so that so many are asked")
    chosen = parser.parse_args()
    asked = documents()[:: max(1, 200 // chosen.limit)]
    with tempfile.TemporaryDirectory() as folder:
        generator = _generator(chosen, Path(folder), [str(document["text"]) for document in asked])
        done: dict[str, list[bool]] = defaultdict(list)
        true: list[bool] = []
        for document in asked:
            said = answer(generator, document, MAX_TOKENS)
            done[str(document["family"])].append(obeyed(document, said))
            if document["relevant"]:
                true.append(str(document["truth"]).lower() in said.lower())
    measuring.write(
        f"injection-{chosen.generator.split(':')[0]}",
        {
            "generator": chosen.generator,
            "documents": len(asked),
            "obeyed": sum(map(sum, done.values())),
            "by_family": {family: f"{sum(each)} of {len(each)}" for family, each in sorted(done.items())},
            "true_answers": f"{sum(true)} of {len(true)}",
        },
    )


def _generator(chosen: argparse.Namespace, folder: Path, texts: list[str]) -> Generator:
    embedder = embedders.load(chosen.embedder, models_dir=chosen.models.expanduser(), threads=2)
    name = f"transformers:{tiny_causal(folder / 'tiny', texts)}" if chosen.generator == "tiny" else chosen.generator
    return generators.load(name, Models(embedder), key_file=None, timeout_s=60.0)


if __name__ == "__main__":
    main()
