"""What `rag reviews` prints: an answer to be judged, what was said of it, measures of agreement."""

from typing import TYPE_CHECKING

from rag.cli import output

if TYPE_CHECKING:
    from rag.reviews.agreement import Measure
    from rag.store.reviews.claims import Lock
    from rag.store.reviews.items import Item
    from rag.store.reviews.queues import Queue
    from rag.store.reviews.reviews import Review
    from rag.types import Interaction, Passage


def next_json(found: "tuple[Item, Lock] | None", entry: "Interaction | None") -> None:
    from rag.shapes.interactions import interaction_json
    from rag.shapes.reviews import item_json, lock_json

    if found is None or entry is None:
        output.print_json({"item": None, "lock": None, "interaction": None})
        return
    whole = interaction_json(entry, whole=True)
    output.print_json({"item": item_json(found[0]), "lock": lock_json(found[1]), "interaction": whole})


def pair(item: "Item", queue: "Queue", entry: "Interaction", lock: "Lock | None" = None) -> None:
    from rag.cli import ask
    from rag.cli.logs import outcome

    output.say(f"{output.strong(f'Item {item.id}')}  {output.faint(output.one_line(f'{item.queue}  {entry.id}'))}")
    output.say(output.faint(output.one_line("because: " + "; ".join(item.reasons))))
    if queue.guidelines:
        output.say()
        output.say(output.safe(queue.guidelines.strip()))
    _section("Question", entry.question)
    _section("Answer", outcome(entry))
    if entry.answer is not None and entry.answer.citations:
        ask.unsupported(entry.answer.text, entry.answer.citations)
    for number, passage in enumerate(entry.passages, 1):
        _passage(number, passage)
    if entry.scores:
        output.say()
        output.say(f"{output.strong('Scores')}  {ask.scores(entry.scores)}")
    output.say()
    labels = " | ".join(f'"{each.name}"' if " " in each.name else each.name for each in queue.labels)
    output.say(output.faint(f"rag reviews label {item.id} {output.one_line(labels)}"))
    if lock is not None:
        output.say(output.faint(f"yours until {lock.until:%H:%M} UTC; rag reviews skip {item.id} passes it over"))


def _section(heading: str, text: str) -> None:
    output.say()
    output.say(output.strong(heading))
    output.say(output.safe(text))


def said(review: "Review", *, json: bool) -> None:
    if json:
        from rag.shapes.reviews import review_json

        output.print_json(review_json(review))
        return
    output.say(f"review {review.id}: {output.one_line(review.label)}, by {output.one_line(review.reviewer)}")


def measure_row(name: str, measure: "Measure") -> tuple[str, str, str, str]:
    interval = "–" if measure.low is None or measure.high is None else f"{measure.low:.3f} … {measure.high:.3f}"
    return name, "–" if measure.value is None else f"{measure.value:.3f}", interval, f"{measure.items:,}"


def _passage(number: int, passage: "Passage") -> None:
    from rag.cli.search import place_line

    output.say()
    output.say(output.strong(f"Passage [{number}]  {output.heading(passage.title, passage.headings)}"))
    for place in passage.places:
        output.say(output.faint(place_line(output.shown_uri(place.uri), passage)))
    output.say(output.safe(passage.text))
