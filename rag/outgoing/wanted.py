"""Which outboxes the settings ask for: traces to a collector, calls to a webhook."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rag.config import Settings
from rag.errors import NotReady, WrongSetting
from rag.outgoing.outbox import Counted, Outbox
from rag.telemetry import otlp
from rag.types import Interaction

if TYPE_CHECKING:
    from rag.outgoing.webhooks import Told

log = logging.getLogger(__name__)

TRACES, WEBHOOK = "traces", "webhook"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Where interactions go from here; None: nobody asked for that."""

    traces: Outbox[Interaction] | None = None
    webhook: "Outbox[Told] | None" = None

    def __iter__(self) -> "Iterator[Outbox[Interaction] | Outbox[Told]]":
        if self.traces is not None:
            yield self.traces
        if self.webhook is not None:
            yield self.webhook


def outboxes(settings: Settings, counted: Counted) -> Outgoing:
    """Those that are asked for. Raises WrongSetting for settings that do not fit, NotReady where the setting
    otlp_endpoint asks for what is not installed; where only OpenTelemetry's own variables do, that is logged."""
    traces: Outbox[Interaction] | None = None
    webhook: Outbox[Told] | None = None
    if otlp.wanted(settings.otlp_endpoint):
        try:
            exporter = otlp.Exporter(settings.otlp_endpoint, content=settings.trace_content == "on")
        except NotReady as error:
            if settings.otlp_endpoint:
                raise
            log.warning("no traces are sent: %s", error)
        else:
            traces = Outbox(TRACES, exporter.send, counted)
    if settings.webhook_url:
        from rag.outgoing.webhooks import Webhook, secret_of

        if not settings.webhook_key_file:
            raise WrongSetting("webhook_url needs webhook_key_file: a file with the secret that calls are signed with")
        hook = Webhook(
            settings.webhook_url,
            settings.webhook_scores,
            secret_of(Path(settings.webhook_key_file)),
            settings.webhook_allow_hosts,
        )
        webhook = Outbox(WEBHOOK, hook.send, counted, batch=1)
    return Outgoing(traces, webhook)
