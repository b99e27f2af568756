"""Comparing two answers blind: the same question to two configurations, who is A, and what is kept of the judgement."""

from collections.abc import Mapping

from rag.app import App
from rag.ask import ask
from rag.errors import WrongUsage
from rag.experiments.plans import configuration
from rag.experiments.preferences import Shown, choice_of, names_of, swapped
from rag.experiments.running import opened
from rag.store import experiments as experiment_store
from rag.store import interactions as interaction_store
from rag.store.experiments import Experiment
from rag.store.reviews import preferences as store
from rag.store.reviews.preferences import Pair, Preference
from rag.types import Interaction, Principal


def shown(app: App, asker: Principal, one: str, other: str) -> Shown:
    """Two logged answers as a pair. Raises NotFound, Conflict for one whose words were erased, WrongUsage for answers
    to different questions."""
    with app.database.read() as connection:
        entries = [interaction_store.get(connection, asker.tenant_id, key) for key in (one, other)]
        store.check_there({entry.id: entry.question for entry in entries})
        if entries[0].question != entries[1].question:
            raise WrongUsage("the two answers are to different questions: only answers to the same one are compared")
        if entries[0].id == entries[1].id:
            raise WrongUsage("an answer cannot be compared with itself: name two interactions")
        first, second = sorted(entries, key=lambda entry: entry.id)
        tried = store.configured(connection, first.id, second.id)
        if tried is None:
            return _placed(Pair(first.id, second.id, *names_of(first, second)), first, second)
        experiment_id, place, other_place = tried
        kept = experiment_store.get(connection, asker.tenant_id, str(experiment_id))
    if place > other_place:
        first, second, place, other_place = second, first, other_place, place
    names = kept.configurations[place - 1].name, kept.configurations[other_place - 1].name
    return _placed(Pair(first.id, second.id, *names, experiment_id), first, second)


def _placed(pair: Pair, first: Interaction, second: Interaction) -> Shown:
    a, b = (second, first) if swapped(pair.first_id, pair.second_id) else (first, second)
    return Shown(pair, a, b)


def following(app: App, asker: Principal, kept: Experiment) -> Shown | None:
    """The next pair of an experiment that the asker has not judged; None when there is none left."""
    names = [each.name for each in kept.configurations]
    with app.database.read() as connection:
        pairs = store.unjudged(connection, kept.id, names, user=asker.user, limit=1)
    return shown(app, asker, pairs[0].first_id, pairs[0].second_id) if pairs else None


def judge(app: App, asker: Principal, one: str, other: str, said: str, comment: str | None = None) -> Preference:
    """Keep what the asker says of A and B: a, b, tie or neither. An earlier judgement of theirs on the pair goes."""
    pair = shown(app, asker, one, other).pair
    turned = swapped(pair.first_id, pair.second_id)
    choice = choice_of(said, swapped=turned)
    with app.database.write() as connection:
        return store.add(
            connection, asker.tenant_id, pair, swapped=turned, choice=choice, user=asker.user, comment=comment
        )


def side_by_side(
    app: App, asker: Principal, question: str, one: Mapping[str, object], other: Mapping[str, object]
) -> Shown:
    """Put a question to two configurations, log both answers, and show them as a pair."""
    entries = []
    for overrides in (one, other):
        answering, ask_for = opened(app, configuration("asked", overrides, app.settings, "the comparison"), asker)
        entries.append(ask(answering, ask_for(question, "human"), asker))
    return shown(app, asker, entries[0].id, entries[1].id)
