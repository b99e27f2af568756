"""Traces: what a collector receives, decoded with the official package; names of the conventions; nothing written
leaves the house unless it is asked for; no answer waits."""

import json
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from openinference.semconv.trace import (
    DocumentAttributes,
    MessageAttributes,
    OpenInferenceSpanKindValues,
    SpanAttributes,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes

from rag.outgoing.outbox import Outbox, Outcome
from rag.outgoing.wanted import outboxes
from rag.telemetry import otlp
from rag.telemetry.spans import provider, span_id, spans, trace_id
from rag.types import (
    Answer,
    Citation,
    Hit,
    Interaction,
    Message,
    Part,
    Passage,
    Place,
    Prompt,
    Score,
    Usage,
)
from tests.api import small
from tests.cli_house import House, build
from tests.listening import Listening, listening

ID = "01JD8Z5W3QK7V9B2N4M6P8R0ST"
OTHER = "01JD8Z5W3QK7V9B2N4M6P8R0SV"
SECRETS = ("sesame", "harbour", "cellar", "attic", "gate.md", "whisper")
PASSAGE = Passage(
    Hit(7, 0.5, {"dense": Part(1, 0.5)}), "The harbour is open.", "cellar", ("attic",),
    (Place(3, "file:///gate.md", None, "cellar"),), None, 0, 20, 3,
)  # fmt: skip
ENTRY = Interaction(
    id=ID,
    created_at="2026-11-21T20:00:00.500+00:00",
    tenant_id=1,
    collection="default",
    user="ann",
    conversation_id="talk",
    origin="human",
    question="Is sesame open?",
    search_query="sesame open",
    prompt=Prompt("sesame open", (Message("system", "whisper"), Message("user", "sesame")), (PASSAGE,), "answer@1", 12),
    answer=Answer(
        "The harbour is open [1].",
        (Citation(0, 24, 1, 0, 20, "The harbour is open.", 1.0, "supported", True),),
        False,
        "openai:http://models#m",
        "stop",
        Usage(12, 5),
        confidence=0.75,
    ),
    error=None,
    passages=(PASSAGE,),
    candidates=(Hit(8, 0.25, {}),),
    model="openai:http://models#m",
    revision="1",
    template="answer@1",
    settings={"mode": "hybrid", "k": 8, "temperature": 0.5, "top_p": 1.0, "seed": 3, "max_tokens": 64, "stop": []},
    position=4,
    generation=2,
    timings_ms={
        "search": 10.0, "prompt": 1.0, "weigh": 0.5, "generate": 250.25, "cite": 2.0, "score": 3.0, "total": 270.0
    },
    scores=(Score("faithfulness", 0.5, label="low"), Score("completeness", None)),
    replays_id=OTHER,
)  # fmt: skip


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listening]:
    for name in (*otlp.VARIABLES, "OTEL_SDK_DISABLED", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"):
        monkeypatch.delenv(name, raising=False)
    with listening() as heard:
        yield heard


def received(heard: Listening) -> list[WireSpan]:
    found = []
    for path, headers, body in heard.came:
        assert (path, headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            named = {each.key: each.value.string_value for each in resource.resource.attributes}
            assert named["service.name"] == "rag"
            found += [span for scope in resource.scope_spans for span in scope.spans]
    return found


def attributes(span: WireSpan) -> dict[str, object]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


def sent(heard: Listening, entries: Sequence[Interaction], *, content: bool) -> list[WireSpan]:
    exporter = otlp.Exporter(heard.url, content=content)
    exporter.send(entries)
    exporter.close()
    return received(heard)


# ── what is sent ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_collector_receives_one_trace_with_a_span_for_each_stage(heard: Listening) -> None:
    found = sent(heard, [ENTRY], content=True)
    names = ["ask", "retrieval default", "prompt", "weigh", "chat openai:http://models#m", "check citations", "score"]
    assert [span.name for span in found] == names
    assert {span.trace_id for span in found} == {trace_id(ID).to_bytes(16)}
    root, search, *_ = found
    assert {span.parent_span_id for span in found[1:]} == {root.span_id}
    assert not root.parent_span_id
    assert root.start_time_unix_nano == search.start_time_unix_nano == 1_795_291_200_500_000_000
    taken = {span.name: (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6 for span in found}
    assert (taken["ask"], taken["retrieval default"], taken[names[4]]) == (270.0, 10.0, 250.25)
    assert [link.trace_id for link in root.links] == [trace_id(OTHER).to_bytes(16)]
    told = attributes(found[4])
    assert (told["gen_ai.operation.name"], told["gen_ai.provider.name"]) == ("chat", "openai")
    assert told["gen_ai.request.model"] == "openai:http://models#m"
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (12, 5)
    assert found[4].kind == WireSpan.SPAN_KIND_CLIENT
    assert told["llm.input_messages.0.message.content"] == "whisper"
    assert json.loads(str(told["gen_ai.output.messages"]))[0]["parts"][0]["content"] == "The harbour is open [1]."
    searched = attributes(search)
    assert searched["retrieval.documents.0.document.content"] == "The harbour is open."
    assert (searched["retrieval.documents.0.document.id"], searched["input.value"]) == ("7", "sesame open")
    (event,) = root.events
    judged = {each.key: each.value for each in event.attributes}
    assert event.name == "gen_ai.evaluation.result"
    assert judged["gen_ai.evaluation.name"].string_value == "faithfulness"
    assert judged["gen_ai.evaluation.score.value"].double_value == 0.5


def test_every_name_is_one_of_the_conventions() -> None:
    known = {getattr(gen_ai_attributes, name) for name in dir(gen_ai_attributes) if name.startswith("GEN_AI_")}
    theirs = {
        getattr(kind, name)
        for kind in (SpanAttributes, DocumentAttributes, MessageAttributes)
        for name in dir(kind)
        if name.isupper()
    }
    ours = re.compile(r"rag\.(confidence|prompt\.(tokens|passages)|sentences\.\w+|score\.\w+)")
    found = spans(replace(ENTRY, error="it broke", timings_ms={**ENTRY.timings_ms, "rewrite": 1.0}), content=True)
    for span in found:
        assert span.attributes["openinference.span.kind"] in {kind.value for kind in OpenInferenceSpanKindValues}
        for happening in span.happenings:
            assert known.issuperset(happening.attributes)
        for name in span.attributes:
            if name.startswith("gen_ai."):
                assert name in known
            elif not ours.fullmatch(name) and name != "error.type":
                parts = re.split(r"\.\d+\.", name)  # llm.input_messages.0.message.role
                assert theirs.issuperset(parts), name
    operations = {
        span.attributes["gen_ai.operation.name"] for span in found if "gen_ai.operation.name" in span.attributes
    }
    assert operations <= {each.value for each in gen_ai_attributes.GenAiOperationNameValues}


def test_nothing_that_anybody_wrote_is_sent_unless_asked_for(heard: Listening) -> None:
    entry = replace(ENTRY, error="the harbour master did not whisper")
    sent(heard, [entry], content=False)
    bodies = b"".join(body for *_, body in heard.came)
    assert not [secret for secret in SECRETS if secret.encode() in bodies]
    sent(heard, [entry], content=True)
    bodies = b"".join(body for *_, body in heard.came)
    assert [secret for secret in SECRETS if secret.encode() in bodies] == [each for each in SECRETS if each != "attic"]


def test_a_failure_is_an_error_and_a_refusal_has_no_generation(heard: Listening) -> None:
    (root, *_) = sent(heard, [replace(ENTRY, error="gone", answer=None)], content=True)
    assert (root.status.code, root.status.message) == (Status.STATUS_CODE_ERROR, "gone")
    timings = {name: taken for name, taken in ENTRY.timings_ms.items() if name != "generate"}
    assert not [
        span
        for span in spans(replace(ENTRY, timings_ms=timings), content=True)
        if "gen_ai.request.model" in span.attributes
    ]
    assert provider("extractive") == "rag"


def test_what_is_exported_twice_is_the_same_trace() -> None:
    first, again = (list(otlp.requests([ENTRY, replace(ENTRY, id=OTHER)], content=False)) for _ in range(2))
    assert [number for number, _ in first] == [14]
    assert (
        first[0][1].SerializeToString(deterministic=True)[-200:]
        == again[0][1].SerializeToString(deterministic=True)[-200:]
    )
    ids = [(one.trace_id, one.span_id) for one in spans(ENTRY, content=True)]
    assert ids == [(one.trace_id, one.span_id) for one in spans(ENTRY, content=False)]
    assert len(set(ids)) == len(ids)
    assert trace_id(ID) != trace_id(OTHER)
    assert 0 < span_id(ID, "") < 2**64


def test_a_line_of_json_says_the_same() -> None:
    ((_, request),) = otlp.requests([ENTRY], content=True)
    told = json.loads(otlp.line(request))
    (scope,) = told["resourceSpans"][0]["scopeSpans"]
    root = scope["spans"][0]
    assert root["traceId"] == f"{trace_id(ID):032x}"
    assert root["spanId"] == f"{span_id(ID, ''):016x}"
    assert root["links"][0]["traceId"] == f"{trace_id(OTHER):032x}"
    assert {span["parentSpanId"] for span in scope["spans"][1:]} == {root["spanId"]}
    assert root["kind"] == 1


# ── behind an answer's back ─────────────────────────────────────────────────────────────────────────────────────────


def test_an_outbox_never_holds_anybody_up() -> None:
    counted: list[tuple[str, Outcome, int]] = []
    going, done = threading.Event(), threading.Event()

    def slow(batch: Sequence[Interaction]) -> int:
        done.set()
        assert going.wait(10)
        return len(batch)

    box = Outbox("test", slow, lambda *told: counted.append(told), length=2, batch=1)
    box.put(ENTRY)
    assert done.wait(10)
    for _ in range(5):
        box.put(ENTRY)
    assert counted == [("test", "dropped", 1)] * 3
    going.set()
    box.close()
    assert counted[3:] == [("test", "sent", 1)] * 3


def test_what_fails_is_counted_and_the_next_is_tried(caplog: pytest.LogCaptureFixture) -> None:
    counted: list[tuple[str, Outcome, int]] = []
    calls: list[int] = []

    def fails_once(batch: Sequence[Interaction]) -> int:
        calls.append(len(batch))
        if len(calls) == 1:
            raise OSError("nobody listens")
        return len(batch)

    box = Outbox("test", fails_once, lambda *told: counted.append(told), batch=1)
    box.put(ENTRY)
    box.put(ENTRY)
    box.close()
    assert counted == [("test", "failed", 1), ("test", "sent", 1)]
    assert "nobody listens" in caplog.text


def test_a_collector_that_refuses_fails_the_batch(heard: Listening) -> None:
    heard.answers = [400]
    exporter = otlp.Exporter(heard.url, content=False)
    with pytest.raises(OSError, match="did not take"):
        exporter.send([ENTRY])
    exporter.close()


def test_the_variables_of_opentelemetry_are_enough(
    heard: Listening, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = small(tmp_path)
    assert list(outboxes(settings, lambda *_: None)) == []
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", heard.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=abc")
    (box,) = outboxes(settings, lambda *_: None)
    box.put(ENTRY)
    box.close()
    assert len(received(heard)) == 7
    assert heard.came[0][1]["x-key"] == "abc"
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert list(outboxes(settings, lambda *_: None)) == []


# ── the command line ────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_answer_is_traced_and_the_log_exported(heard: Listening, tmp_path: Path) -> None:
    house: House = build(tmp_path / "house")
    assert house("ingest", str(house.docs)).code == 0
    assert house("ask", "When was the bridge opened?", RAG_OTLP_ENDPOINT=heard.url, RAG_TRACE_CONTENT="on").code == 0
    first = received(heard)
    assert first
    assert attributes(first[0])["input.value"] == "When was the bridge opened?"
    done = house("traces", "export", "--json", RAG_OTLP_ENDPOINT=heard.url)
    assert done.json == {"traces": 1, "spans": len(first), "to": heard.url}
    again = received(heard)[len(first) :]
    assert [span.span_id for span in again] == [span.span_id for span in first]
    assert "input.value" not in attributes(again[0])
    written = tmp_path / "traces.jsonl"
    assert house("traces", "export", "--to", str(written)).code == 0
    assert "cannot be written" in house("traces", "export", "--to", str(tmp_path)).err
    assert len(written.read_text().splitlines()) == 1
    refused = house("traces", "export")
    assert refused.code == 2
    assert "otlp_endpoint" in refused.err
    none = house("traces", "export", "--until", "2020-01-01", "--to", "-")
    assert (none.code, none.out) == (0, "")
