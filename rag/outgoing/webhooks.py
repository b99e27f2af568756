"""Somebody outside is told of answers with low scores: a signed POST for each, tried again, never in an answer's way.

What is sent and how it is signed is that of Standard Webhooks (https://www.standardwebhooks.com): the headers
`webhook-id`, `webhook-timestamp` and `webhook-signature`, which is `v1,` and the base64 of the HMAC-SHA256 of
`id.timestamp.body`. Nothing that anybody wrote is in the body: ids, scores and settings are; whoever may read the log
finds the rest there. The address is checked and pinned as pages are that are taken in: no name server can lead a call
to an address inside the network that nobody allowed.
"""

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest.errors import IngestError, Refused
from ingest.web import addresses
from rag.errors import WrongSetting
from rag.types import Interaction, Score

ATTEMPTS = 4
TIMEOUT_S = 10.0  # of one attempt
WAIT_S = (0.5, 8.0)  # between two attempts, the first and the longest
SECRET_PREFIX = "whsec_"
_RULE = re.compile(r"\s*([A-Za-z][\w:.-]*)\s*(<=|<)\s*(\d+(?:\.\d*)?|\.\d+)\s*")
_PASSING = frozenset((408, 425, 429, 500, 502, 503, 504))  # may be another the next moment
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Rule:
    """Which values of a score are low."""

    name: str
    limit: float
    equal: bool = False  # whether the limit itself is low

    def broken(self, value: float) -> bool:
        return value < self.limit or (self.equal and value == self.limit)

    def __str__(self) -> str:
        return f"{self.name}{'<=' if self.equal else '<'}{self.limit:g}"


def rules_of(texts: Sequence[str]) -> tuple[Rule, ...]:
    """What the setting webhook_scores means. Raises WrongSetting naming what does not fit."""
    found = []
    for text in texts:
        matched = _RULE.fullmatch(text)
        if matched is None:
            raise WrongSetting(
                f"webhook_scores: {text!r} is no rule; write a score, < or <= and a value: faithfulness<0.5"
            )
        found.append(Rule(matched[1], float(matched[3]), matched[2] == "<="))
    if not found:
        raise WrongSetting("webhook_scores is empty, so webhook_url is never called; name a rule: faithfulness<0.5")
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Rescored:
    """An interaction that was given scores after it was answered."""

    entry: Interaction  # with the scores that it had before
    scores: tuple[Score, ...]  # that it was given now


Told = Interaction | Rescored
"""An interaction as it was answered, or scored later."""


def low(told: Told, rules: Sequence[Rule]) -> list[tuple[Rule, float]]:
    """The rules that an answer's scores break, each with the value; a score that does not apply breaks none. Of scores
    that were given later only those rules that no score has broken before: these were told then."""
    new = told.scores
    before = told.entry.scores if isinstance(told, Rescored) else ()
    values = {score.name: score.value for score in new if score.value is not None}
    earlier = [(score.name, score.value) for score in before if score.value is not None]
    return [
        (rule, values[rule.name])
        for rule in rules
        if rule.name in values
        and rule.broken(values[rule.name])
        and not any(name == rule.name and rule.broken(value) for name, value in earlier)
    ]


def key_of(told: Told, broken: Sequence[tuple[Rule, float]]) -> str:
    """What a call is known by, however often it is tried: the interaction's id; of scores that were given later, the
    rules are in it."""
    if isinstance(told, Interaction):
        return told.id
    rules = "\n".join(str(rule) for rule, _ in broken)
    return f"{told.entry.id}-{hashlib.blake2b(rules.encode(), digest_size=8).hexdigest()}"


def body_of(told_of: Told, broken: Sequence[tuple[Rule, float]]) -> bytes:
    """What is sent, as JSON in UTF-8."""
    entry = told_of if isinstance(told_of, Interaction) else told_of.entry
    scores = entry.scores if isinstance(told_of, Interaction) else (*entry.scores, *told_of.scores)
    told = {
        "type": "interaction.low_score",
        "timestamp": entry.created_at,
        "data": {
            "interaction_id": entry.id,
            "conversation_id": entry.conversation_id,
            "collection": entry.collection,
            "user": entry.user,
            "origin": entry.origin,
            "model": entry.model,
            "template": entry.template,
            "abstained": None if entry.answer is None else entry.answer.abstained,
            "low": [{"rule": str(rule), "score": rule.name, "value": value} for rule, value in broken],
            "scores": {score.name: score.value for score in scores},
        },
    }
    return json.dumps(told, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def secret_of(path: Path) -> bytes:
    """The secret that a file holds, as it is, or behind `whsec_` in base64. Raises WrongSetting."""
    try:
        text = path.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise WrongSetting(f"webhook_key_file: {path} cannot be read: {error}") from error
    if not text.startswith(SECRET_PREFIX):
        secret = text.encode()
    else:
        try:
            secret = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
        except ValueError as error:
            raise WrongSetting(f"webhook_key_file: what follows {SECRET_PREFIX} in {path} is no base64") from error
    if len(secret) < 16:
        raise WrongSetting(f"webhook_key_file: the secret in {path} is shorter than 16 bytes")
    return secret


def signature(secret: bytes, key: str, timestamp: int, body: bytes) -> str:
    """As the header `webhook-signature` has it."""
    digest = hmac.new(secret, f"{key}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


class Webhook:
    """Calls one address. Not thread-safe; an outbox has a thread of its own.

    `allow_hosts`: names and addresses inside a network that may be called; those of the public web always may.
    Raises WrongSetting for an address that cannot be called or would not be.
    """

    def __init__(
        self,
        url: str,
        rules: Sequence[str],
        secret: bytes,
        allow_hosts: Sequence[str] = (),
        *,
        resolve: addresses.Resolve = addresses.resolve,
        waits: tuple[float, float] = WAIT_S,
        now: Callable[[], float] = time.time,
    ) -> None:
        import httpcore
        import httpx

        from ingest.web.connections import Deadline, Pinned
        from ingest.web.fetcher import normalised

        self._rules, self._secret = rules_of(rules), secret
        try:
            self._url = httpx.URL(normalised(url))
            self._allowed = addresses.Allowed.of(allow_hosts)
        except IngestError as error:
            raise WrongSetting(f"webhook_url: {error}") from error
        self._resolve, self._waits, self._now = resolve, waits, now
        self._deadline = Deadline()
        self._network = Pinned(self._deadline)
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(), max_connections=1, network_backend=self._network
        )

    def send(self, entries: Sequence[Told]) -> int:
        """Tell of those with low scores; gives how many calls that were. Raises OSError when the last of them could not
        be made, after every other one was tried."""
        sent, failures = 0, []
        for entry in entries:
            broken = low(entry, self._rules)
            if broken:
                key = key_of(entry, broken)
                try:
                    self._call(key, body_of(entry, broken))
                    sent += 1
                except (OSError, IngestError) as error:
                    failures.append(f"{key}: {error}")
        if failures:
            raise OSError("; ".join(failures))
        return sent

    def close(self) -> None:
        self._pool.close()

    def _call(self, key: str, body: bytes) -> None:
        import stamina

        first, longest = self._waits
        waits = stamina.retry_context(
            on=_Passing, attempts=ATTEMPTS, timeout=None, wait_initial=first, wait_max=longest, wait_jitter=first
        )
        for attempt in waits:
            with attempt:
                self._once(key, body)

    def _once(self, key: str, body: bytes) -> None:
        import httpcore

        host, port = self._url.raw_host.decode("ascii"), self._url.port or _PORTS[self._url.scheme]
        self._network.pin(host, port, self._addresses(host, port))
        timestamp = int(self._now())
        headers: dict[str, bytes | str] = {
            "Host": self._url.netloc,
            "User-Agent": "rag",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "webhook-id": key,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(self._secret, key, timestamp, body),
        }
        self._deadline.start(TIMEOUT_S)
        target = httpcore.URL(
            scheme=self._url.raw_scheme, host=self._url.raw_host, port=self._url.port, target=self._url.raw_path
        )
        try:
            with self._pool.stream("POST", target, headers=[*headers.items()], content=body) as response:
                status = response.status  # the rest is of no interest, and closing the connection leaves it unread
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise _Passing(f"the call failed: {error or type(error).__name__}") from error
        if status in _PASSING:
            raise _Passing(f"the answer was {status}")
        if not 200 <= status < 300:
            raise OSError(f"the answer was {status}; redirects are not followed")

    def _addresses(self, host: str, port: int) -> list[str]:
        """Where the host's name leads. Raises Refused for an address inside a network that was not allowed."""
        told = f"{self._url.scheme}://{host}"  # the path may hold a secret of its own
        inside = host == addresses.LOCALHOST and addresses.LOCALHOST not in self._allowed.hosts
        try:
            found = self._allowed.addresses(host, port, told, self._resolve)
        except Refused:
            inside, found = True, []
        if inside:
            raise Refused(
                f"{told} leads to an address inside a network, not of the public web; if it is meant to be told, name "
                "the address in the setting webhook_allow_hosts"
            )
        return found


class _Passing(OSError):
    """What may be otherwise the next moment."""
