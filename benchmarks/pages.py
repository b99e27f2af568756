"""The web pages over a long log: the time to the first byte of each, as a browser waits for it.

Run: python benchmarks/pages.py [COUNT [DATABASE URL]], 100,000 interactions on SQLite unless told otherwise, made as
benchmarks/log.py makes them; besides them this project's guides as documents, a conversation, a queue of QUEUED
answers to review whose rule takes in all others too, two evaluation runs of QUESTIONS questions and an experiment over
as many answers. Each page is asked for once (`cold`: nobody has asked this server for it), then ROUNDS times, one after
another on one connection. In
milliseconds of wall time, beside the load of the machine. What a page fetches behind itself is listed apart. Whole is
the time until the last byte.
"""

import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from log_made import prepare
from log_seeding import load
from measuring import ROOT, write

from ingest.sources import from_text
from rag.api.serve import environment
from rag.app import App, opening
from rag.config import Settings
from rag.corpus import Arrival, Origin
from rag.evaluation.runs import METRICS, averaged, judged
from rag.evaluation.runs import figures as with_intervals
from rag.store import evaluations as evaluation_store
from rag.store import experiments as experiment_store
from rag.store.experiments import Answered, Configured
from rag.types import Example

COUNT = 100_000
ROUNDS = 20
LIMIT_MS = 100
QUESTIONS = 250  # of an evaluation and of an experiment
QUEUED = 200  # answers that wait for review
START_S = 60
PAGES = (
    "/ask",
    "/ask/{conversation}",
    "/documents",
    "/documents?q=duplicates",
    "/documents/{document}",
    "/documents/{document}?at=200-320",
    "/documents/jobs",
    "/log",
    "/log?text=duplicates",
    "/log?before={middle}",
    "/log?after={middle}",
    "/log/{interaction}",
    "/review",
    "/review/queues/bench",
    "/review/items/{item}",
    "/compare",
    "/compare/pair?first={one}&second={other}",
    "/compare/experiments/{experiment}",
    "/evaluation",
    "/evaluation/first",
    "/evaluation/compare?first=first&second=second",
    "/dashboard",
)
BEHIND = (
    "/documents/{document}/citing",
    "/log/count",
    "/review/queues/bench/agreement",
    "/compare/experiments/{experiment}/figures",
    "/evaluation/compare/figures?first=first&second=second",
    "/dashboard/figures?origin=synthetic",  # as the log is that is made up
    "/dashboard/drift?origin=synthetic",
    "/dashboard/unanswered?origin=synthetic",
    "/dashboard/topics?origin=synthetic",
)


def fill(settings: Settings, count: int) -> None:
    """The log, and the guides as documents."""
    with opening(settings, create=True) as app:
        draw = random.Random(7)
        load(app.database, prepare(app.database, draw), count, draw)
        arrivals = []
        for path in sorted((ROOT / "docs").glob("*.md")):
            source = from_text(path.read_text(encoding="utf-8"), uri=path.name, media_type="text/markdown")
            arrivals.append(Arrival(source.uri, source))
        app.corpus().add_sources(arrivals, Origin("bench"), total=len(arrivals))
        for name in ("first", "second"):
            evaluate(app, name, draw)


def evaluate(app: App, name: str, draw: random.Random) -> None:
    """Keep a run over made-up judgements."""
    examples = [Example(f"q{at}", f"question {at}?", (), {f"d{at}": 1}) for at in range(QUESTIONS)]
    rankings = {f"q{at}": {f"d{at + draw.randrange(3)}": 1.0, f"d{at}": draw.random() * 2} for at in range(QUESTIONS)}
    found = judged(examples, rankings, METRICS, {f"q{at}": 1.0 + draw.random() for at in range(QUESTIONS)})
    run = evaluation_store.NewEvaluation(
        name=name,
        folder="bench",
        digest=b"1",
        mode="hybrid",
        settings={"k": 10},
        version="0",
        metrics=with_intervals(averaged(found, METRICS)),
        latency_ms={"p50": 2.0, "p95": 3.0, "mean": 2.0},
    )
    with app.database.write() as connection:
        evaluation_store.add(connection, app.tenant_id, run, found)


def experiment(settings: Settings, keys: list[str]) -> int:
    """Keep an experiment of two configurations over logged answers; its id."""
    configurations = [Configured("now", {}), Configured("words", {"mode": "keyword"})]
    with opening(settings) as app, app.database.write() as connection:
        kept = experiment_store.add(
            connection,
            app.tenant_id,
            "bench",
            questions="bench",
            digest="1",
            version="0",
            user="local",
            configurations=configurations,
        )
        half = len(keys) // 2
        answers = [
            Answered(place, number, str(number), f"question {number}?", key, {"faithfulness": number % 7 / 7}, 9.5)
            for place, some in ((1, keys[:half]), (2, keys[half : 2 * half]))
            for number, key in enumerate(some, 1)
        ]
        experiment_store.add_answers(connection, kept.id, answers)
        return kept.id


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def up(http: httpx.Client) -> None:
    """Wait until the server answers."""
    end = time.monotonic() + START_S
    while True:
        try:
            http.get("/api/health").raise_for_status()
            return
        except httpx.TransportError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def asked(http: httpx.Client, address: str) -> tuple[float, float, int]:
    """Milliseconds to the first byte and to the last, and the size in bytes."""
    began = time.perf_counter()
    with http.stream("GET", address, headers={"accept": "text/html"}) as answer:
        first = time.perf_counter()
        size = len(answer.read())
        answer.raise_for_status()
    return (first - began) * 1000, (time.perf_counter() - began) * 1000, size


def figures(http: httpx.Client, address: str) -> dict[str, float]:
    cold = asked(http, address)[0]
    rounds = [asked(http, address) for _ in range(ROUNDS)]
    first = sorted(each[0] for each in rounds)
    return {
        "cold": round(cold, 1),
        "p50": round(statistics.median(first), 1),
        "p95": round(first[int(0.95 * len(first))], 1),
        "whole p50": round(statistics.median(each[1] for each in rounds), 1),
        "kB": round(rounds[0][2] / 1000, 1),
    }


def measure(settings: Settings) -> dict[str, object]:
    port = free_port()
    command = [str(Path(sys.executable).parent / "rag"), "serve"]
    chosen = os.environ | environment(settings) | {"RAG_PORT": str(port)}
    server = subprocess.Popen(command, env=chosen, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
            up(http)
            time.sleep(2)  # the templates are read meanwhile
            question = {"question": "How are duplicates found?", "conversation": "new"}
            answer = http.post("/api/ask", json=question).raise_for_status().json()
            other = http.post("/api/ask", json=question | {"mode": "keyword"}).raise_for_status().json()
            listed = http.get("/api/interactions", params={"limit": 2 * QUESTIONS}).json()["interactions"]
            keys = [each["interaction_id"] for each in listed]
            queue = {"name": "bench", "rule": {"any": [{"kind": "every"}]}, "guidelines": "Read every sentence."}
            http.post("/api/review-queues", json=queue).raise_for_status()
            put = {"interaction_ids": keys[:QUEUED], "reason": "put in by hand"}
            http.post("/api/review-queues/bench/items", json=put).raise_for_status()
            item = http.post("/api/review-queues/bench/next", json={}).raise_for_status().json()["item"]
            names = {
                "conversation": answer["conversation_id"],
                "document": http.get("/api/documents").json()["documents"][0]["document_id"],
                "interaction": keys[2],
                "middle": keys[-1],
                "item": item["item_id"],
                "one": answer["interaction_id"],
                "other": other["interaction_id"],
                "experiment": experiment(settings, keys[2:]),
            }
            pages = {page: figures(http, page.format(**names)) for page in PAGES}
            behind = {page: figures(http, page.format(**names)) for page in BEHIND}
    finally:
        server.terminate()
        server.wait(timeout=60)
    worst = max(pages, key=lambda page: pages[page]["p95"])
    return {
        "worst p95": {"page": worst, "ms": pages[worst]["p95"]},
        "within 100 ms": all(told["p95"] <= LIMIT_MS for told in pages.values()),
        "cold within 100 ms": all(told["cold"] <= LIMIT_MS for told in pages.values()),
        "first byte": pages,
        "fetched behind": behind,
        "load": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    with tempfile.TemporaryDirectory(prefix="rag-pages-") as folder:
        settings = Settings(
            data=Path(folder) / "data",
            models=Path(folder) / "models",
            database=sys.argv[2] if len(sys.argv) > 2 else "",
            embedder="hashing:256",
            generator="extractive",
        )
        fill(settings, count)
        write("pages", {"interactions": count, "rounds": ROUNDS} | measure(settings))


if __name__ == "__main__":
    main()
