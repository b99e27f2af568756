"""Sets of judged questions: a BEIR folder, or a version of a dataset, read as one thing; and what was answered to
them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rag.errors import WrongUsage
from rag.evaluate import Answered, Folder, read_folder
from rag.evaluation.gate import ANSWERS
from rag.exports import making
from rag.store.database import Database
from rag.store.datasets import SPLITS, Split
from rag.types import Example

TUNING: tuple[Split, ...] = ("train", "validation")  # what may be fitted to
GATING: tuple[Split, ...] = ("test",)  # what is only measured by


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Judged questions, and the collection whose documents they judge."""

    name: str  # what people call it
    examples: tuple[Example, ...]  # with neither answers nor relevant documents: known to have no answer
    collection: str
    folder: Folder | None = None  # None: it is a dataset, and the collection is there

    @property
    def judged(self) -> tuple[Example, ...]:
        """Those whose relevant documents are known."""
        return tuple(one for one in self.examples if any(grade > 0 for grade in one.relevant.values()))


def is_folder(named: str) -> bool:
    """Whether a set is meant that lies in a folder. Raises WrongUsage for one that is not there."""
    if Path(named).is_dir():
        return True
    if "/" in named or "\\" in named or named.startswith("."):
        raise WrongUsage(f"there is no folder {named}; a dataset is called by its name alone: rag datasets list")
    return False


def of_folder(path: Path) -> QuestionSet:
    """The questions of a BEIR folder. Raises WrongUsage."""
    read = read_folder(path)
    return QuestionSet(read.name, read.examples, read.collection, read)


def of_dataset(database: Database, tenant_id: int, named: str, splits: Sequence[Split]) -> QuestionSet:
    """The questions of a version of which something is known. Raises NotFound; WrongUsage where there is none."""
    version, records = making.read(database, tenant_id, named, splits)
    known = [record for record in records if record.answerable is not None]
    if not known:
        raise WrongUsage(
            f"of the {len(records)} questions in {' and '.join(splits)} of {version.named} nobody said what answers "
            "them: review some of them, or choose others with --split"
        )
    return QuestionSet(version.named, tuple(record.example() for record in known), version.collection)


def chosen(splits: Sequence[str], default: Sequence[Split]) -> tuple[Split, ...]:
    """The splits of these names in their order, else the default."""
    return tuple(split for split in SPLITS if split in splits) or tuple(default)


def said(found: Sequence[Answered]) -> dict[str, dict[str, float]]:
    """The metrics of answers by question, each where it applies."""
    values: dict[str, dict[str, float]] = {name: {} for name in ANSWERS}
    for one in found:
        key, judged = one.example.id, one.judged
        answerable = bool(one.example.answers) or any(grade > 0 for grade in one.example.relevant.values())
        values["answered" if answerable else "refused"][key] = float(judged.abstained != answerable)
        if judged.contains_gold is not None:
            values["contains_gold"][key] = float(judged.contains_gold)
        if judged.citations:
            values["quotes_verbatim"][key] = judged.verbatim / judged.citations
        for name, value in one.scores.items():
            if value is not None:
                values.setdefault(name, {})[key] = value
    return values
