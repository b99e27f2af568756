"""The API under several workers while another process adds and removes documents: errors, freshness, latency.

Run: python benchmarks/serving.py [SECONDS]. Every added document must be found within a second, no removed text may
stand in a search or an answer sent after its removal returned, and no request may fail. Latencies of /api/ask at rest
and during ingest are reported side by side. Loopback only, bounded in time.
"""

import multiprocessing
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
from measuring import DATA, rag, run, write

WORKERS = 2
Events = "multiprocessing.Queue[tuple[str, str, float]]"  # what happened, the word, when
QUESTIONS = [
    "How do I declare a path parameter?",
    "What is a dependency?",
    "How are cookies read?",
    "Where does the parcel with the code word weigh?",
    "How can a background task be added?",
]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def churn(data: str, until: float, events: Events) -> None:
    """Another process: adds a document with a word of its own, later removes it, all the while."""
    from ingest.sources import from_text
    from rag.app import opening
    from rag.config import load
    from rag.corpus import Arrival, Origin

    with opening(load({"data": data}).settings) as app:
        corpus, number, alive = app.corpus(), 0, []
        while time.time() < until:
            word = f"zq{number:05d}x"
            text = f"The code word of parcel {number} is {word}. It was sent on a Monday and weighs {number} grams."
            source = from_text(text, uri=f"bench:{word}")
            report = corpus.add_sources([Arrival(source.uri, source)], Origin("bench"), total=1)
            events.put(("added", word, time.time()))
            alive.append((word, report.document_ids))
            if len(alive) > 10:
                word, ids = alive.pop(0)
                corpus.remove(ids, actor="bench")
                events.put(("removed", word, time.time()))
            number += 1
            time.sleep(0.3)  # so that each is there long enough to be looked for
    events.put(("end", "", time.time()))


def wait_ready(base: str, server: "subprocess.Popen[bytes]") -> None:
    for _ in range(600):
        if server.poll() is not None:
            raise SystemExit("the server ended")
        try:
            if httpx.get(f"{base}/api/ready", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise SystemExit("the server was not ready in a minute")


def ask_all(
    base: str, questions: list[str], until: float, taken: list[float], failed: list[str], gone: dict[str, float]
) -> None:
    """Ask until the time is over; note latencies, failures, and any removed word that still answers."""
    with httpx.Client(base_url=base, timeout=60) as client:
        number = 0
        while time.time() < until:
            sent = time.time()
            removed = {word for word, at in list(gone.items()) if at < sent}
            question = questions[number % len(questions)]
            number += 1
            response = client.post("/api/ask", json={"question": question})
            taken.append((time.time() - sent) * 1000)
            if response.status_code != 200:
                failed.append(f"ask {response.status_code}: {response.text[:200]}")
            elif stale := [word for word in removed if word in response.text]:
                failed.append(f"removed words answered: {stale}")


def check_words(
    base: str, events: Events, lags: list[float], misses: list[float], failed: list[str], gone: dict[str, float]
) -> tuple[int, int]:
    """Look for every added word, and for every removed one, over fresh connections so that all workers are asked."""
    added = removed = 0
    while True:
        what, word, at = events.get(timeout=120)
        if what == "end":
            return added, removed
        if what == "removed":
            gone[word] = at
            removed += 1
            for _ in range(WORKERS * 2):
                response = httpx.post(f"{base}/api/search", json={"query": f"parcel {word}", "k": 20}, timeout=60)
                if response.status_code != 200:
                    failed.append(f"search {response.status_code}")
                elif any(word in hit["text"] for hit in response.json()["hits"]):
                    failed.append(f"{word} was found after its removal")
            continue
        added += 1
        for _ in range(WORKERS * 2):
            while True:
                sent = time.time()
                response = httpx.post(f"{base}/api/search", json={"query": f"parcel {word}", "k": 20}, timeout=60)
                if response.status_code != 200:
                    failed.append(f"search {response.status_code}")
                    break
                if any(word in hit["text"] for hit in response.json()["hits"]):
                    lags.append(max(0.0, sent - at))
                    break
                misses.append(sent - at)
                if sent - at > 1.0:
                    failed.append(f"{word} was not found by a search sent {sent - at:.1f} s after it was added")
                    break


def percentiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "requests": len(ordered),
        "p50_ms": statistics.median(ordered),
        "p99_ms": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))],
    }


def main(seconds: float) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "data"
        assert run(rag("ingest", str(DATA / "docs-fastapi" / "docs" / "tutorial"), data=data)).code == 0
        port = free_port()
        base = f"http://127.0.0.1:{port}"
        server = subprocess.Popen(
            rag("serve", "--port", str(port), "--workers", str(WORKERS), data=data),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_ready(base, server)
            at_rest: list[float] = []
            busy: list[float] = []
            lags: list[float] = []
            misses: list[float] = []  # searches that were sent after the add and did not find it, by how long after
            failed: list[str] = []
            gone: dict[str, float] = {}
            ask_all(base, QUESTIONS, time.time() + 3, [], failed, gone)  # both workers load their models
            ask_all(base, QUESTIONS, time.time() + min(15, seconds), at_rest, failed, gone)
            context = multiprocessing.get_context("spawn")
            events = context.Queue()
            until = time.time() + seconds + 5
            writer = context.Process(target=churn, args=(str(data), until, events))
            writer.start()
            asker = threading.Thread(target=ask_all, args=(base, QUESTIONS, until, busy, failed, gone))
            asker.start()
            added, removed = check_words(base, events, lags, misses, failed, gone)
            asker.join()
            writer.join()
        finally:
            server.terminate()
            server.wait(30)
    write(
        "serving",
        {
            "workers": WORKERS,
            "seconds": seconds,
            "added": added,
            "removed": removed,
            "found_after_s": {"median": statistics.median(lags), "max": max(lags)},
            "searches_that_missed": {"count": len(misses), "latest_after_s": max(misses, default=None)},
            "ask_at_rest": percentiles(at_rest),
            "ask_during_ingest": percentiles(busy),
            "failures": failed[:20],
            "failed": len(failed),
        },
    )
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0)
