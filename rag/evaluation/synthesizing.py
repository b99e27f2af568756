"""Questions made from a collection's documents become a version of a dataset: what the command line and a job share."""

from typing import Literal

from rag.app import App
from rag.evaluation.synthesis import Progress, by_generator, by_templates, synthesize
from rag.exports import making
from rag.exports.making import Made
from rag.exports.splits import ALL_TEST, Shares
from rag.store.datasets import check_name
from rag.types import Principal

By = Literal["auto", "templates", "generator"]
"""Who writes the questions; auto: a language model where one is installed, else templates."""


def make(
    app: App,
    asker: Principal,
    name: str,
    n: int,
    *,
    by: By = "auto",
    collection: str | None = None,
    shares: Shares = ALL_TEST,
    progress: Progress = lambda done, total: None,
) -> Made:
    """Make a version of up to n questions, none of which repeats what people asked the collection before.

    Raises NotFound, and WrongUsage for a name that cannot be one, where nothing could be asked, and for a generator
    that writes no questions.
    """
    check_name(name)
    opened = app.opened(collection, asker.tenant_id)
    held_in = opened.collection.name
    generator = None if by == "templates" else app.generator()
    if generator is not None and by == "auto" and generator.name == "extractive":
        generator = None
    drafting = by_templates if generator is None else by_generator(generator, app.generation())
    made_by = "templates" if generator is None else generator.name
    fusion = app.fusion(held_in, asker.tenant_id)
    avoid = making.asked(app.database, asker.tenant_id, held_in)
    found = synthesize(opened, drafting, made_by, n, app.settings.mode, fusion, asker, avoid=avoid, progress=progress)
    return making.make_questions(
        app.database, asker.tenant_id, name, found.records, found.dropped, made_by, held_in, shares, asker.user
    )
