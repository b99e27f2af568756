"""Spans in OTLP: to a collector over HTTP as protobuf, or as lines of JSON; the one place that uses OpenTelemetry."""

import base64
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rag.errors import NotReady
from rag.telemetry.spans import Span, spans
from rag.types import Interaction

if TYPE_CHECKING:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan

VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")  # read where no setting names one
PATH = "/v1/traces"
TIMEOUT_S = 10.0


def wanted(endpoint: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether anybody said where traces go: the setting, or one of OpenTelemetry's own variables."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    return bool(endpoint) or any(environment.get(name, "").strip() for name in VARIABLES)


def require() -> None:
    """Raise NotReady, with the remedy, unless OpenTelemetry is installed."""
    try:
        import opentelemetry.exporter.otlp.proto.http.trace_exporter
        import opentelemetry.sdk.trace  # noqa: F401
    except ImportError as error:
        raise NotReady(
            f"traces need OpenTelemetry ({error.name} is missing): pip install 'rag[otel]', or leave otlp_endpoint and "
            "the OTEL_ variables unset"
        ) from error


class Exporter:
    """Sends traces to a collector. `endpoint` is its base address, "" the one of the OTEL_ variables. Raises NotReady
    where OpenTelemetry is not installed."""

    def __init__(self, endpoint: str, *, content: bool) -> None:
        require()
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        base = endpoint.rstrip("/")
        address = None if not base else base if base.endswith(PATH) else base + PATH
        self._exporter = OTLPSpanExporter(endpoint=address, timeout=TIMEOUT_S)
        self._resource = _resource()
        self._content = content

    def send(self, entries: Sequence[Interaction]) -> int:
        """Send the traces of some interactions; gives how many spans that were. Raises OSError where they did not
        arrive, after the exporter has tried for ten seconds."""
        from opentelemetry.sdk.trace.export import SpanExportResult

        found = [_readable(each, self._resource) for entry in entries for each in spans(entry, content=self._content)]
        if found and self._exporter.export(found) is not SpanExportResult.SUCCESS:
            raise OSError("the collector did not take the traces")
        return len(found)

    def close(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


def requests(
    entries: Iterable[Interaction], *, content: bool, batch: int = 100
) -> Iterator[tuple[int, "ExportTraceServiceRequest"]]:
    """What a collector would be sent, a batch of interactions at a time, with the number of spans."""
    require()
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    resource = _resource()
    found: list[ReadableSpan] = []
    for number, entry in enumerate(entries, 1):
        found += [_readable(each, resource) for each in spans(entry, content=content)]
        if number % batch == 0:
            yield len(found), encode_spans(found)
            found = []
    if found:
        yield len(found), encode_spans(found)


def line(request: "ExportTraceServiceRequest") -> str:
    """A request as one line of OTLP's JSON: as protobuf's own, but ids in hexadecimal and enumerations as numbers."""
    from google.protobuf.json_format import MessageToDict

    told = MessageToDict(request, use_integers_for_enums=True)
    for resource in told.get("resourceSpans", ()):
        for scope in resource.get("scopeSpans", ()):
            for span in scope.get("spans", ()):
                for each in (span, *span.get("links", ())):
                    for name in ("traceId", "spanId", "parentSpanId"):
                        if name in each:
                            each[name] = base64.b64decode(each[name]).hex()
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def _resource() -> "Resource":
    """Who sends: this program, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES call it otherwise."""
    from opentelemetry.sdk.resources import Resource

    from rag import __version__

    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return Resource.create({"service.version": __version__} | ({} if named else {"service.name": "rag"}))


def _readable(span: Span, resource: "Resource") -> "ReadableSpan":
    """The same span as the exporter takes it."""
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

    from rag import __version__

    def context(trace_id: int, span_id: int) -> SpanContext:
        return SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))

    return ReadableSpan(
        span.name,
        context=context(span.trace_id, span.span_id),
        parent=None if span.parent_id is None else context(span.trace_id, span.parent_id),
        resource=resource,
        attributes=dict(span.attributes),
        events=[Event(each.name, dict(each.attributes), each.time_ns) for each in span.happenings],
        links=[Link(context(*each)) for each in span.links],
        kind=SpanKind.CLIENT if span.calls_out else SpanKind.INTERNAL,
        status=Status(StatusCode.ERROR, span.failure) if span.failed else Status(StatusCode.UNSET),
        start_time=span.start_ns,
        end_time=span.end_ns,
        instrumentation_scope=InstrumentationScope("rag", __version__),
    )
