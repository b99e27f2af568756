"""Reviews over HTTP, as programs, people and tokens that are bound to labels meet them."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from rag.api.application import create
from rag.app import App, opening
from rag.client import Client
from rag.errors import Conflict, NotFound, NotPermitted, WrongUsage
from tests.api import OTTERS, TIDES, client, make_token, small
from tests.test_api import conforms
from tests.test_client import InProcess

RULE = {"any": [{"kind": "every"}]}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with opening(small(tmp_path_factory.mktemp("reviews")), create=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def ada(app: App) -> TestClient:
    api = client(create(app), token=make_token(app, "ada"))
    for text, title in ((OTTERS, "Otters"), (TIDES, "Tides")):
        api.post("/api/documents", json={"text": text, "title": title, "uri": f"note:{title}"})
    for question in ("What do sea otters hold?", "How often does the tide rise?", "Why kelp?"):
        assert api.post("/api/ask", json={"question": question}).status_code == 200
    return api


@pytest.fixture(scope="module")
def people(app: App, ada: TestClient) -> Iterator[list[Client]]:
    """Three who may see everything; they reach the application with tokens of their own."""
    made = [
        Client("http://127.0.0.1:8000", token=make_token(app, name), transport=InProcess(app))
        for name in ("bob", "cyd", "dan")
    ]
    yield made
    for each in made:
        each.close()


def test_a_review_from_the_queue_to_the_log(people: list[Client], ada: TestClient) -> None:
    bob, cyd, _ = (each.reviews for each in people)
    made = bob.add_queue("first", RULE, guidelines="# Be strict", reviewers=2)
    assert (made.user, made.counts.waiting, made.labels[1].name, made.labels[1].value) == ("bob", 0, "partly", 0.5)
    assert bob.fill("first").added == 3
    given = bob.next("first")
    assert given.item is not None
    assert given.lock is not None
    assert given.interaction is not None
    assert given.item.reviewer == "bob"
    other = cyd.next("first")
    assert other.item is not None
    assert other.item.item_id != given.item.item_id
    with pytest.raises(Conflict, match="bob works on item"):
        cyd.lock(given.item.item_id)
    assert bob.lock(given.item.item_id, owner=given.lock.owner).until >= given.lock.until
    hit = people[0].search("kelp").hits[0]
    review = bob.save(
        given.item.item_id,
        "partly",
        corrected_answer="Hands.",
        passages={1: 3},
        better={hit.chunk_id: 2} if hit.chunk_id != given.interaction.passages[0].chunk_id else None,
        tags=["short"],
        note="see the first passage",
    )
    assert (review.reviewer, review.value, review.passages[0].grade) == ("bob", 0.5, 3)
    again = bob.item(given.item.item_id)
    assert again.review == review
    assert (again.item.reviews, again.item.state, again.item.reviewer) == (1, "waiting", None)
    found = people[0].interaction(given.item.interaction_id)
    assert found.scores["correctness"] == 0.5
    human = next(each for each in found.judgements if each.name == "correctness")
    assert (human.annotator_kind, human.identifier, human.label) == ("HUMAN", "bob", "partly")
    cyd.free(other.item.item_id, other.lock.owner if other.lock else "")
    cyd.save(given.item.item_id, "partly")
    assert cyd.item(given.item.item_id).item.state == "done"
    assert cyd.agreement("first").agreement.value == 1.0
    assert [each.review_id for each in bob.saved(queue="first", reviewer="bob", page=1)] == [review.review_id]
    shapes = {
        "ReviewQueues": "/api/review-queues",
        "ReviewQueue": "/api/review-queues/first",
        "ReviewItems": "/api/review-queues/first/items?state=done",
        "ReviewAgreement": "/api/review-queues/first/agreement",
        "ReviewItemWhole": f"/api/reviews/items/{given.item.item_id}",
        "Reviews": "/api/reviews?limit=1",
        "Review": f"/api/reviews/{review.review_id}",
    }
    for shape, path in shapes.items():
        conforms(ada, shape, ada.get(path).json())


def test_what_was_saved_can_be_taken_back_and_skipped_ones_asked_for(people: list[Client]) -> None:
    bob, cyd, _ = (each.reviews for each in people)
    keys = [line.interaction_id for line in people[0].interactions()]
    bob.add_queue("second", {"any": [{"kind": "failed"}]}, labels={"good": 1.0, "bad": 0.0}, score="helpful")
    assert bob.put("second", [keys[0], keys[0].lower()]) == [keys[0]]
    item = bob.next("second").item
    assert item is not None
    bob.skip(item.item_id)
    assert bob.next("second").item is None
    assert bob.queue("second").counts.skipped == 1
    assert cyd.next("second").item is None, "skipping without the lock's owner does not free it"
    review = bob.save(item.item_id, "bad")
    with pytest.raises(NotFound):
        cyd.withdraw(review.review_id)
    bob.withdraw(review.review_id)
    assert list(bob.saved(queue="second")) == []
    assert [each.replaced_at is None for each in bob.saved(queue="second", history=True)] == [False]
    assert "helpful" not in people[0].interaction(keys[0]).scores
    assert bob.change_queue("second", guidelines="new", reviewers=3).guidelines == "new"
    bob.remove_queue("second")
    with pytest.raises(NotFound, match="second"):
        bob.queue("second")


def test_who_is_bound_to_labels_reviews_their_own_questions_only(app: App, people: list[Client]) -> None:
    bob = people[0].reviews
    bob.add_queue("third", RULE)
    bob.fill("third")
    with Client("http://127.0.0.1:8000", token=make_token(app, "eve", ["secret"]), transport=InProcess(app)) as bound:
        eve = bound.reviews
        assert eve.queue("third").counts.waiting == 0
        assert eve.next("third").item is None
        other = next(iter(bob.items("third")))
        saved = bob.save(other.item_id, "correct")
        for refused in (
            lambda: eve.item(other.item_id),
            lambda: eve.lock(other.item_id),
            lambda: eve.skip(other.item_id),
            lambda: eve.free(other.item_id, "x"),
            lambda: eve.save(other.item_id, "wrong"),
            lambda: eve.withdraw(saved.review_id),
        ):
            with pytest.raises(NotFound):
                refused()
        assert list(eve.items("third")) == []
        assert list(eve.saved()) == []
        for forbidden in (
            lambda: eve.add_queue("mine", RULE),
            lambda: eve.change_queue("third", reviewers=2),
            lambda: eve.remove_queue("third"),
            lambda: eve.fill("third"),
            lambda: eve.put("third", [other.interaction_id]),
            lambda: eve.agreement("third"),
        ):
            with pytest.raises(NotPermitted, match="bound to labels"):
                forbidden()
        own = bound.ask("What do otters hold?").interaction_id
        bob.put("third", [own])
        given = eve.next("third")
        assert given.item is not None
        assert given.item.interaction_id == own
        assert eve.save(given.item.item_id, "wrong").reviewer == "eve"


def test_what_is_wrong_is_refused_by_name(people: list[Client], ada: TestClient) -> None:
    bob = people[0].reviews
    bob.add_queue("fourth", RULE)
    with pytest.raises(Conflict, match="fourth"):
        bob.add_queue("fourth", RULE)
    with pytest.raises(WrongUsage, match="vibes"):
        bob.add_queue("fifth", {"any": [{"kind": "vibes"}]})
    with pytest.raises(WrongUsage, match="log has no filter"):
        bob.change_queue("fourth", rule={"any": [{"kind": "every"}], "where": {"mood": "x"}})
    bob.fill("fourth")
    item = bob.next("fourth").item
    assert item is not None
    with pytest.raises(WrongUsage, match="splendid"):
        bob.save(item.item_id, "splendid")
    for body in ({"item_id": 1}, {"item_id": 1, "label": "correct", "passages": [{"grade": 9, "number": 1}]}):
        assert ada.post("/api/reviews", json=body).status_code == 422
    assert ada.post("/api/reviews/items/999/lock", json={}).status_code == 404
