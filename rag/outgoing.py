"""Which outboxes the settings ask for: traces to a collector, calls to a webhook."""

import logging
from pathlib import Path

from rag.config import Settings
from rag.errors import NotReady, WrongSetting
from rag.outbox import Counted, Outbox
from rag.telemetry import otlp

log = logging.getLogger(__name__)

TRACES, WEBHOOK = "traces", "webhook"


def outboxes(settings: Settings, counted: Counted) -> list[Outbox]:
    """Those that are asked for. Raises WrongSetting for settings that do not fit, NotReady where the setting
    otlp_endpoint asks for what is not installed; where only OpenTelemetry's own variables do, that is logged."""
    found = []
    if otlp.wanted(settings.otlp_endpoint):
        try:
            exporter = otlp.Exporter(settings.otlp_endpoint, content=settings.trace_content == "on")
        except NotReady as error:
            if settings.otlp_endpoint:
                raise
            log.warning("no traces are sent: %s", error)
        else:
            found.append(Outbox(TRACES, exporter.send, counted))
    if settings.webhook_url:
        from rag.webhooks import Webhook, secret_of

        if not settings.webhook_key_file:
            raise WrongSetting("webhook_url needs webhook_key_file: a file with the secret that calls are signed with")
        hook = Webhook(
            settings.webhook_url,
            settings.webhook_scores,
            secret_of(Path(settings.webhook_key_file)),
            settings.webhook_allow_hosts,
        )
        found.append(Outbox(WEBHOOK, hook.send, counted, batch=1))
    return found
