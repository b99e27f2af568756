"""Any server that speaks OpenAI's chat completions (vLLM, Ollama, llama.cpp …): `openai:<base url>#<model>`.

The answer is streamed by server-sent events; a server that answers in one piece is understood too. Connection errors,
429 and 5xx are tried again, but only before the first word: after growing pauses, or the one that the server asks for
by Retry-After. Whoever goes takes the connection with them, so that the server can stop. The key never appears in a
message, a log line or a repr.
"""

import json
import os
import queue
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from rag.errors import GeneratorFailed, WrongSetting
from rag.generators._streaming import Stops
from rag.types import CancelToken, Event, Finish, GenerationSettings, Generator, Message, Models, Prompt, Text, Usage

if TYPE_CHECKING:
    import httpx

Json = dict[str, object]
DEFAULT_CONTEXT_TOKENS = 4096  # where the server does not say; Ollama's default
BYTES_PER_TOKEN = 3.0  # an estimate on the safe side: English has about 4.4, Chinese 3 to 4, code about 3.3
ASKED_AGAIN_S = 10.0  # after which a server is asked for its models that could not be
ATTEMPTS = 4
LONGEST_PAUSE_S = 20.0  # a server that asks for a longer one is not asked again
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Piece:
    """What one server-sent event tells."""

    text: str = ""
    finish: str | None = None
    usage: Usage | None = None


class Line:
    """The connection of one request, which another thread may cut."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.cut = threading.Event()

    def trace(self, event: str, info: Mapping[str, object]) -> None:
        """Told by httpcore what happens to the request; keeps the socket."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            found = info["return_value"].get_extra_info("socket")  # type: ignore[attr-defined]
            with self._lock:
                self._socket = found
            if self.cut.is_set():
                self.hang_up()

    def hang_up(self) -> None:
        """Cut the connection; a read that waits for the server ends at once. No error when it is over already."""
        self.cut.set()
        with self._lock:
            if self._socket is not None:
                with suppress(OSError):  # as a plain socket: TLS would be taken from under whoever reads
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


@dataclass(slots=True)
class Listed:
    """What a server's list of models said."""

    context_tokens: int = DEFAULT_CONTEXT_TOKENS
    until: float = 0.0  # by time.monotonic(): when it is asked next


@dataclass(frozen=True, slots=True, eq=False)
class Server:
    """A model on an OpenAI-compatible server. Safe to use from several threads."""

    base_url: str  # without a slash at its end
    model: str
    timeout_s: float
    key: str | None = field(default=None, repr=False)
    _listed: Listed = field(default_factory=Listed, init=False, repr=False)

    @property
    def name(self) -> str:
        return f"openai:{self.base_url}#{self.model}"

    @property
    def revision(self) -> str:
        """The model as the server calls it; which weights these are only the server knows."""
        return f"{self.model} at {urlsplit(self.base_url).netloc}"

    @property
    def context_tokens(self) -> int:
        """What the server's list of models says, else 4096. One that could not be asked, as while it starts, is asked
        again after a while."""
        import httpx

        if time.monotonic() >= self._listed.until:
            try:
                self._listed.context_tokens, self._listed.until = self._context_listed(), inf
            except httpx.HTTPError:  # a server that is down is found when it is asked
                self._listed.until = time.monotonic() + ASKED_AGAIN_S
        return self._listed.context_tokens

    def _context_listed(self) -> int:
        """As the list of models says; it is a courtesy. Raises httpx.HTTPError where there is nobody to ask."""
        with self._client() as client:
            response = client.get(f"{self.base_url}/models")
        if response.is_server_error:
            response.raise_for_status()
        try:
            ours = next(entry for entry in response.json()["data"] if entry.get("id") == self.model)
            limits = [ours.get(name) for name in ("max_model_len", "context_length", "context_window")]
            return next((int(n) for n in limits if isinstance(n, int) and n > 0), DEFAULT_CONTEXT_TOKENS)
        except (ValueError, KeyError, TypeError, AttributeError, StopIteration):
            return DEFAULT_CONTEXT_TOKENS

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """An estimate by bytes: the server's tokenizer is not here."""
        return sum(int(len(m.content.encode("utf-8", "replace")) / BYTES_PER_TOKEN) + 8 for m in messages)

    def generate(self, prompt: Prompt, settings: GenerationSettings, cancel: CancelToken) -> Iterator[Event]:
        """Text as it arrives. A set `cancel` ends it within a tenth of a second, also while the server is silent.
        Raises GeneratorFailed with the server's words when it refuses, breaks off or is not there; WrongSetting where
        decoding is to be grounded, which is not a server's to do."""
        if settings.grounded:
            raise WrongSetting(f"grounded_decoding is for transformers models; switch it off to ask {self.name}")
        stops = Stops(settings.stop)
        said, usage, reason = "", Usage(None, None), ""
        for piece in self._pieces(self._request(prompt, settings), cancel):
            usage, reason = piece.usage or usage, piece.finish or reason
            said += piece.text
            if text := stops.feed(said):
                yield Text(text)
            if stops.found:
                break
        if not stops.found and (rest := stops.rest(said)):
            yield Text(rest)
        yield usage
        finish: Literal["stop", "length", "cancelled"] = "length" if reason == "length" else "stop"
        finish = "cancelled" if cancel.is_set() and not stops.found and not reason else finish
        # A server that ends at a stop string does not say so: where it was given some, what ended by itself may have.
        yield Finish(finish, at_stop=stops.found or (reason == "stop" and any(settings.stop)))

    def _request(self, prompt: Prompt, settings: GenerationSettings) -> Json:
        request: Json = {
            "model": self.model,
            "messages": [{"role": m.role, "content": m.content} for m in prompt.messages],
            "max_tokens": settings.max_tokens,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "seed": settings.seed,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if settings.stop:
            request["stop"] = list(settings.stop)
        return request

    # ── the wire ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _client(self) -> "httpx.Client":
        """A client for one request, closed with it: an abandoned stream cannot hold up the next."""
        import httpx

        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        local = urlsplit(self.base_url).hostname in _LOOPBACK  # a proxy cannot reach this machine's own servers
        return httpx.Client(headers=headers, timeout=httpx.Timeout(self.timeout_s, connect=10.0), trust_env=not local)

    def _pieces(self, request: Json, cancel: CancelToken) -> Iterator[Piece]:
        """The server's pieces. They are read by a thread of their own, since a blocked read cannot be cancelled."""
        arrived: queue.SimpleQueue[Piece | GeneratorFailed | None] = queue.SimpleQueue()
        line = Line()

        def read() -> None:
            try:
                for piece in self._read(request, line):
                    arrived.put(piece)
                arrived.put(None)
            except GeneratorFailed as error:
                arrived.put(error)

        threading.Thread(target=read, name="openai-stream", daemon=True).start()
        try:
            while not cancel.is_set():
                try:
                    piece = arrived.get(timeout=0.1)
                except queue.Empty:
                    continue
                if isinstance(piece, GeneratorFailed):
                    raise piece
                if piece is None:
                    return
                yield piece
        finally:
            line.hang_up()

    def _read(self, request: Json, line: Line) -> Iterator[Piece]:
        """Send the request and read its answer to the end. Raises GeneratorFailed, nothing else."""
        import httpx

        try:
            with self._client() as client, closing(self._opened(client, request, line)) as response:
                if "text/event-stream" not in response.headers.get("content-type", ""):
                    yield _whole(json.loads(response.read()))
                    return
                ended = False
                for data in _events(response.iter_lines()):
                    if line.cut.is_set() or data == "[DONE]":
                        return
                    piece = _piece(json.loads(data))
                    ended = ended or piece.finish is not None
                    yield piece
                if not ended:
                    raise self._failed("its answer broke off")
        except httpx.HTTPError as error:
            raise self._failed(f"{type(error).__name__}: {error}") from error
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise self._failed(f"its answer cannot be understood: {type(error).__name__}: {error}") from error

    def _opened(self, client: "httpx.Client", request: Json, line: Line) -> "httpx.Response":
        """The response, its status good and its body unread; tried again where that can help."""
        import httpx
        import stamina

        def again(error: Exception) -> bool | float:
            if line.cut.is_set():
                return False
            if isinstance(error, httpx.HTTPStatusError):
                helps = error.response.status_code == 429 or error.response.status_code >= 500
                pause = _pause_s(error.response.headers.get("retry-after", ""))
                if helps and pause is not None:
                    return pause if pause <= LONGEST_PAUSE_S else False
                return helps
            return isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.RemoteProtocolError))

        try:
            for attempt in stamina.retry_context(on=again, attempts=ATTEMPTS, wait_initial=0.25, wait_max=4.0):
                with attempt:
                    return self._sent(client, request, line)
        except httpx.HTTPStatusError as error:
            if error.response.status_code in (400, 422, 501) and "stream" in error.response.text:
                return self._opened_whole(client, request, line)
            raise self._failed(f"status {error.response.status_code}: {error.response.text[:500]}") from error
        raise AssertionError("retrying ends with a response or raises")

    def _opened_whole(self, client: "httpx.Client", request: Json, line: Line) -> "httpx.Response":
        """For a server that refuses to stream: the same request for an answer in one piece."""
        import httpx

        plain = {name: value for name, value in request.items() if name != "stream_options"}
        try:
            return self._sent(client, {**plain, "stream": False}, line)
        except httpx.HTTPStatusError as error:
            raise self._failed(f"status {error.response.status_code}: {error.response.text[:500]}") from error

    def _sent(self, client: "httpx.Client", request: Json, line: Line) -> "httpx.Response":
        if line.cut.is_set():
            raise self._failed("nobody waits for its answer any more")
        address, extensions = f"{self.base_url}/chat/completions", {"trace": line.trace}
        response = client.send(client.build_request("POST", address, json=request, extensions=extensions), stream=True)
        if response.status_code >= 300:
            with closing(response):
                response.read()
            if response.is_redirect:
                raise self._failed(f"it redirects to {response.headers.get('location')}; use that address")
            response.raise_for_status()
        return response

    def _failed(self, what: str) -> GeneratorFailed:
        if self.key:  # a server may repeat what it was sent
            what = what.replace(self.key, "***")
        return GeneratorFailed(f"{self.model} at {self.base_url}: {what}")


def _pause_s(asked: str) -> float | None:
    """The pause that Retry-After asks for, in seconds or by a date (RFC 9110, 10.2.3); None for none."""
    if asked.strip().isdecimal():
        return float(asked)
    try:
        return max(0.0, (parsedate_to_datetime(asked) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):  # no date, or one without a time zone
        return None


def _events(lines: Iterator[str]) -> Iterator[str]:
    """The data of each server-sent event (WHATWG HTML, 9.2); comments and other fields are skipped."""
    data: list[str] = []
    for line in lines:
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            yield "\n".join(data)
            data = []
    if data:
        yield "\n".join(data)


def _usage(body: Json) -> Usage | None:
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return None
    counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    known = [count if isinstance(count, int) else None for count in counts]
    return Usage(known[0], known[1])


def _piece(body: Json) -> Piece:
    if "error" in body:
        raise ValueError(json.dumps(body["error"])[:500])
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        return Piece(usage=_usage(body))
    first = choices[0]
    return Piece(_text((first.get("delta") or {}).get("content")), first.get("finish_reason"), _usage(body))


def _whole(body: Json) -> Piece:
    if "error" in body:
        raise ValueError(json.dumps(body["error"])[:500])
    choices = body["choices"]
    if not isinstance(choices, list):
        raise ValueError("no choices")
    return Piece(_text(choices[0]["message"]["content"]), choices[0].get("finish_reason"), _usage(body))


def _text(content: object) -> str:
    if content is not None and not isinstance(content, str):
        raise ValueError("its content is no text")
    return content or ""


def load(rest: str, models: Models, *, key_file: Path | None = None, timeout_s: float = 60.0) -> Generator:
    """The model on the server; nothing is sent before the first question.

    The key stands in `key_file`, else in OPENAI_API_KEY; none is sent when there is neither.
    Raises WrongSetting when the address is not http(s), holds a password, or the model or key file is missing.
    """
    base_url, _, model = rest.partition("#")
    parts = urlsplit(base_url)
    if parts.username or parts.password or parts.query:
        raise WrongSetting("the base url must not hold a user, a password or a query: put the key in openai_key_file")
    if parts.scheme not in ("http", "https") or not parts.hostname or not model:
        raise WrongSetting(f"write openai:<base url>#<model>, as openai:http://127.0.0.1:8000/v1#name, not {rest!r}")
    key = os.environ.get("OPENAI_API_KEY", "").strip() or None
    if key_file is not None:
        try:
            key = key_file.read_text(encoding="utf-8").strip() or None
        except (OSError, UnicodeDecodeError) as error:
            raise WrongSetting(f"the key file {key_file} cannot be read: {error}") from error
    return Server(base_url.rstrip("/"), model, timeout_s, key)
