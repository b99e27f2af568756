"""The page Compare: one question to two configurations, two answers judged blind, experiments and who wins."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from rag.api.house import House
from rag.api.models import ULID
from rag.api.models.experiments import CompareRequest
from rag.api.pages import shown as answers
from rag.api.pages.forms import Form, Given
from rag.api.pages.rendering import PageRoute, page, see
from rag.api.requests import Asker, TheHouse
from rag.api.routes.ask import OPEN_GENERATORS
from rag.api.routes.comparisons import asked_twice, check_both, own
from rag.api.routes.experiments import check
from rag.errors import WrongUsage
from rag.experiments.blind import following, judge, shown
from rag.experiments.plans import table
from rag.experiments.preferences import Shown, rates, strengths
from rag.store import collections as collection_store
from rag.store import experiments as experiment_store
from rag.store.experiments import Experiment
from rag.store.reviews import preferences as preference_store
from rag.store.reviews.preferences import Preference
from rag.types import Interaction, Principal

router = APIRouter(include_in_schema=False, route_class=PageRoute)

LISTED = 20  # experiments and judgements on the page
MODES = (("hybrid", "Hybrid"), ("semantic", "Semantic"), ("keyword", "Keyword"))
SAID = {"a": "A is better", "b": "B is better", "tie": "Both are good", "neither": "Both are bad"}

Id = Annotated[str, Query(pattern=ULID)]


@dataclass(frozen=True, slots=True)
class Side:
    """One of two answers as the page shows it."""

    letter: str
    name: str  # of the configuration, which is shown when the pair was judged
    entry: Interaction
    segments: Sequence[answers.Segment]
    better: bool  # what the asker said


@router.get("/compare")
def beginning(
    request: Request,
    house: TheHouse,
    principal: Asker,
    q: Annotated[str, Query(max_length=20000)] = "",
    collection: Annotated[str | None, Query(max_length=100)] = None,
    mode: Annotated[str | None, Query(max_length=20)] = None,
) -> Response:
    """What to compare, and what was found until now."""
    settings = house.app.settings
    with house.app.database.read() as connection:
        names = [each.name for each in collection_store.listing(connection, principal.tenant_id)]
        seen = principal.labels is None
        experiments = experiment_store.listing(connection, principal.tenant_id, limit=LISTED) if seen else []
        tally = preference_store.tally(connection, principal.tenant_id, user=own(principal))
        judged = preference_store.listing(connection, principal.tenant_id, limit=LISTED, user=own(principal))
    generators = sorted(OPEN_GENERATORS | {settings.generator})
    searched = mode if mode in dict(MODES) else settings.mode
    return page(
        request,
        "compare.html",
        question=q,
        collection=collection or settings.collection,
        collections=[(name, name) for name in names],
        modes=MODES,
        mode=searched,
        other_mode="keyword" if searched != "keyword" else "hybrid",
        generators=[(name, name) for name in generators],
        generator=settings.generator,
        passages=settings.passages,
        template=settings.prompt_template,
        longest=settings.max_question_chars,
        experiments=experiments,
        rates=rates(tally),
        strengths=strengths(tally),
        judged=judged,
    )


@router.post("/compare")
def ask(request: Request, house: TheHouse, principal: Asker, given: Given) -> Response:
    """Put a question to two configurations."""
    asked = CompareRequest(
        question=given.required("question", "the question"), first=_side(given, "a_"), second=_side(given, "b_")
    )
    if asked.first == asked.second:
        raise WrongUsage("the two sides are the same: choose another mode, collection, generator or number of passages")
    found = asked_twice(house, principal, asked)
    return see(request, f"/compare/pair?first={found.pair.first_id}&second={found.pair.second_id}")


def _side(given: Form, side: str) -> dict[str, str | int | float]:
    found: dict[str, str | int | float] = {}
    for name in ("collection", "mode", "generator", "prompt_template"):
        if (value := given.given(side + name)) is not None:
            found[name] = value
    passages = given.whole(side + "passages")
    return found if passages is None else found | {"passages": passages}


@router.get("/compare/pair")
def pair(
    first: Id,
    second: Id,
    request: Request,
    house: TheHouse,
    principal: Asker,
    told: Annotated[bool, Query(description="say whose the answers are, instead of judging them")] = False,
) -> Response:
    """Two answers to one question, to be judged; whose they are is said when they were."""
    check_both(house, principal, first, second)
    return _pair(request, house, principal, shown(house.app, principal, first, second), None, told=told)


def _pair(
    request: Request, house: House, principal: Principal, found: Shown, kept: Experiment | None, *, told: bool = False
) -> Response:
    with house.app.database.read() as connection:
        mine = preference_store.said(
            connection, principal.tenant_id, found.pair.first_id, found.pair.second_id, user=principal.user
        )
    sides = [_seen(letter, entry, found, mine) for letter, entry in (("A", found.a), ("B", found.b))]
    return page(
        request,
        "compare_pair.html",
        shown=found,
        sides=sides,
        experiment=kept,
        choices=SAID,
        mine=mine,
        told=told or mine is not None,
    )


def _seen(letter: str, entry: Interaction, found: Shown, mine: Preference | None) -> Side:
    name = found.pair.first if entry.id == found.pair.first_id else found.pair.second
    return Side(letter, name, entry, answers.segments(entry), mine is not None and mine.chosen_id == entry.id)


@router.post("/compare/pair")
def judged(request: Request, house: TheHouse, principal: Asker, given: Given) -> Response:
    """Keep a judgement and go on: to the experiment's next pair, or to whose the answers are."""
    first, second = given.required("first_id", "the pair"), given.required("second_id", "the pair")
    check_both(house, principal, first, second)
    kept = judge(
        house.app, principal, first, second, given.required("choice", "what is better"), given.given("comment")
    )
    a, b = (kept.second, kept.first) if kept.swapped else (kept.first, kept.second)
    named = f"Kept. A was {a}; B was {b}."
    if (experiment := given.whole("experiment")) is not None:
        return see(request, f"/compare/experiments/{experiment}/next", named)
    return see(request, f"/compare/pair?first={first}&second={second}", named)


@router.get("/compare/experiments/{experiment}")
def experiment(
    experiment: Annotated[int, Path(ge=1)],
    request: Request,
    house: TheHouse,
    principal: Asker,
    whole: Annotated[bool, Query()] = False,
) -> Response:
    """An experiment; its tests take a moment, so that htmx fetches them; with `whole` they stand in the page."""
    kept = _experiment(house, principal, experiment)
    with house.app.database.read() as connection:
        answers = experiment_store.answers(connection, kept.id)
        tally = preference_store.tally(connection, principal.tenant_id, experiment_id=kept.id)
    by_question: dict[int, list[object]] = {}
    for each in answers:
        by_question.setdefault(each.number, []).append(each)
    return page(
        request,
        "compare_experiment.html",
        kept=kept,
        rows=table(kept.configurations, answers) if whole else None,
        answers=list(by_question.values())[:100],
        rates=rates(tally),
        strengths=strengths(tally),
    )


@router.get("/compare/experiments/{experiment}/figures")
def compared(experiment: Annotated[int, Path(ge=1)], request: Request, house: TheHouse, principal: Asker) -> Response:
    """Each configuration's means, and how it differs from the first, as a part of the page."""
    kept = _experiment(house, principal, experiment)
    with house.app.database.read() as connection:
        answers = experiment_store.answers(connection, kept.id)
    return page(request, "_experiment.html", rows=table(kept.configurations, answers))


@router.get("/compare/experiments/{experiment}/next")
def following_pair(
    experiment: Annotated[int, Path(ge=1)], request: Request, house: TheHouse, principal: Asker
) -> Response:
    """The next pair of an experiment that the asker has not judged."""
    kept = _experiment(house, principal, experiment)
    found = following(house.app, principal, kept)
    if found is None:
        return see(request, f"/compare/experiments/{kept.id}", "You have judged every pair of this experiment.")
    return _pair(request, house, principal, found, kept)


def _experiment(house: House, principal: Principal, key: int) -> Experiment:
    check(principal)
    with house.app.database.read() as connection:
        return experiment_store.get(connection, principal.tenant_id, str(key))
