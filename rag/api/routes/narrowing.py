"""The query parameters that say which interactions of the log are meant."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Literal

from fastapi import Depends, Query
from pydantic import FiniteFloat

from rag.api.requests import Asker, utc
from rag.store import interactions as interaction_store
from rag.types import Principal

Words = Annotated[str | None, Query(max_length=1000)]
NOBODY = ""  # a user that no token has


async def narrowed(
    principal: Asker,
    text: Annotated[
        str | None,
        Query(
            max_length=1000, description='words of question, answer or search query; "a phrase", the start of a wor*'
        ),
    ] = None,
    model: Words = None,
    template: Annotated[str | None, Query(max_length=200, description="a name, or name@digest")] = None,
    user: Words = None,
    origin: Literal["human", "synthetic", "generated"] | None = None,
    conversation: Words = None,
    collection: Words = None,
    since: Annotated[datetime | None, Query(description="from this moment on; UTC where no zone is given")] = None,
    until: Annotated[datetime | None, Query(description="before this moment")] = None,
    score: Annotated[
        list[str] | None,
        Query(max_length=20, description="a score that has a value: NAME, or NAME:LOW..HIGH; may be repeated"),
    ] = None,
    score_min: Annotated[FiniteFloat | None, Query(description="of the only score, at least this")] = None,
    score_max: Annotated[FiniteFloat | None, Query(description="… and at most this")] = None,
    confidence_min: FiniteFloat | None = None,
    confidence_max: FiniteFloat | None = None,
    abstained: bool | None = None,
    failed: bool | None = None,
    replays: Annotated[bool | None, Query(description="what runs a logged question again, or only the others")] = None,
    feedback: Literal["good", "bad", "any", "none"] | None = None,
    review: Literal["queued", "reviewed", "none"] | None = None,
    tag: Annotated[list[str] | None, Query(max_length=20, description="may be repeated: all of them")] = None,
) -> interaction_store.Query:
    """What is asked for, of the asker's own questions only where their token is bound to labels."""
    query = interaction_store.Query(
        text=text,
        model=model,
        template=template,
        user=user,
        origin=origin,
        conversation_id=conversation,
        collection=collection,
        since=utc(since),
        until=utc(until),
        scores=interaction_store.score_ranges(score or (), score_min, score_max),
        confidence_min=confidence_min,
        confidence_max=confidence_max,
        abstained=abstained,
        failed=failed,
        replays=replays,
        feedback=feedback,
        review_state=review,
        tags=tuple(tag or ()),
    )
    return own(query, principal)


def own(query: interaction_store.Query, principal: Principal) -> interaction_store.Query:
    """The query as the asker may ask it: passages of others' answers may bear labels that they lack."""
    if principal.labels is None:
        return query
    return replace(query, user=principal.user if query.user in (None, principal.user) else NOBODY)


Narrowed = Annotated[interaction_store.Query, Depends(narrowed)]
