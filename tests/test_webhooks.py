"""The webhook: who is told of what, signed so that it can be checked, and never inside the network unasked."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rag.errors import WrongSetting
from rag.evaluation.scoring import score
from rag.outgoing.wanted import outboxes
from rag.outgoing.webhooks import ATTEMPTS, Rescored, Rule, Webhook, low, rules_of, secret_of, signature
from rag.store.interactions import Query
from rag.types import Score
from tests.api import client, small
from tests.listening import Listening, listening
from tests.test_telemetry import ENTRY, SECRETS

SECRET = b"0123456789abcdef0123456789abcdef"
NOW = 1_795_291_200.9
LOW = replace(ENTRY, scores=(Score("faithfulness", 0.4), Score("completeness", 0.9), Score("context_recall", None)))


@pytest.fixture
def heard() -> Iterator[Listening]:
    with listening() as heard:
        yield heard


def hook(heard: Listening, *rules: str) -> Webhook:
    wanted = rules or ("faithfulness<0.5",)
    return Webhook(f"{heard.url}/told?key=k", wanted, SECRET, ["127.0.0.1"], waits=(0.0, 0.0), now=lambda: NOW)


def test_low_scores_are_told_signed_as_standard_webhooks_are(heard: Listening) -> None:
    calling = hook(heard, "faithfulness<0.5", "completeness <= 0.9")
    assert calling.send([ENTRY, LOW]) == 1
    calling.close()
    ((path, headers, body),) = heard.came
    assert path == "/told?key=k"
    assert headers["content-type"] == "application/json"
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == (LOW.id, "1795291200")
    signed = f"{LOW.id}.1795291200.".encode() + body
    expected = base64.b64encode(hmac.digest(SECRET, signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    told = json.loads(body)
    assert told["type"] == "interaction.low_score"
    assert told["data"]["interaction_id"] == LOW.id
    assert [(each["rule"], each["value"]) for each in told["data"]["low"]] == [
        ("faithfulness<0.5", 0.4),
        ("completeness<=0.9", 0.9),
    ]
    assert told["data"]["scores"] == {"faithfulness": 0.4, "completeness": 0.9, "context_recall": None}
    assert not [secret for secret in SECRETS if secret.encode() in body]


def test_scores_that_are_given_later_are_told_once_by_rule(heard: Listening) -> None:
    calling = hook(heard, "faithfulness<0.5", "completeness<0.5", "completeness<0.3")
    told = [
        Rescored(LOW, (Score("faithfulness", 0.2),)),  # that was low before
        Rescored(LOW, (Score("completeness", 0.4),)),
        Rescored(replace(LOW, scores=(*LOW.scores, Score("completeness", 0.4))), (Score("completeness", 0.1),)),
        Rescored(LOW, (Score("context_recall", 0.1), Score("completeness", None))),
    ]
    assert calling.send(told) == 2
    calling.close()
    bodies = [json.loads(body)["data"] for *_, body in heard.came]
    assert [[each["rule"] for each in body["low"]] for body in bodies] == [["completeness<0.5"], ["completeness<0.3"]]
    assert bodies[0]["scores"] == {"faithfulness": 0.4, "completeness": 0.4, "context_recall": None}
    ids = [headers["webhook-id"] for _, headers, _ in heard.came]
    assert len({LOW.id, *ids}) == 3
    assert all(key.startswith(LOW.id) for key in ids)


def test_the_signature_is_that_of_the_standards_own_example() -> None:
    """From https://github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    made = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    ("answers", "calls", "passes"),
    [([500, 429], 3, True), ([503] * 9, ATTEMPTS, False), ([404], 1, False), ([302], 1, False)],
)
def test_what_may_pass_is_tried_again(heard: Listening, answers: list[int], calls: int, passes: bool) -> None:
    heard.answers = answers
    calling = hook(heard)
    if passes:
        assert calling.send([LOW]) == 1
    else:
        with pytest.raises(OSError, match=f"{LOW.id}: the answer was"):
            calling.send([LOW])
    calling.close()
    assert len(heard.came) == calls
    assert len({headers["webhook-id"] for _, headers, _ in heard.came}) == 1


@pytest.mark.parametrize(
    "leads_to", ["127.0.0.1", "169.254.169.254", "10.0.0.8", "::1", "fe80::1", "::ffff:169.254.169.254"]
)
def test_a_name_that_leads_into_the_network_is_not_called(leads_to: str) -> None:
    calling = Webhook("http://hook.example/", ["faithfulness<0.5"], SECRET, resolve=lambda _host, _port: [leads_to])
    with pytest.raises(OSError, match="webhook_allow_hosts"):
        calling.send([LOW])


def test_an_address_inside_the_network_is_called_once_it_is_allowed(heard: Listening) -> None:
    for host in ("127.0.0.1", "localhost"):
        url = heard.url.replace("127.0.0.1", host)
        with pytest.raises(OSError, match="inside a network"):
            Webhook(url, ["faithfulness<0.5"], SECRET).send([LOW])
        allowed = Webhook(url, ["faithfulness<0.5"], SECRET, [host], resolve=lambda _host, _port: ["127.0.0.1"])
        assert allowed.send([LOW]) == 1
        allowed.close()
    assert len(heard.came) == 2


@pytest.mark.parametrize(
    "url",
    ["ftp://example.org/", "file:///etc/passwd", "gopher://example.org", "http://", "https://ann:pw@example.org/"],
)
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(WrongSetting, match="webhook_url"):
        Webhook(url, ["faithfulness<0.5"], SECRET)


def test_rules_are_read_and_kept_to() -> None:
    assert rules_of(["faithfulness<0.5", " a.b <= .25 "]) == (Rule("faithfulness", 0.5), Rule("a.b", 0.25, equal=True))
    assert [str(rule) for rule in rules_of(["judge:faithfulness<1"])] == ["judge:faithfulness<1"]
    for wrong in ("faithfulness", "faithfulness>0.5", "<0.5", "faithfulness<low", "faithfulness<-1"):
        with pytest.raises(WrongSetting, match="is no rule"):
            rules_of([wrong])
    with pytest.raises(WrongSetting, match="empty"):
        rules_of([])
    at = replace(ENTRY, scores=(Score("faithfulness", 0.5),))
    assert not low(at, rules_of(["faithfulness<0.5"]))
    assert low(at, rules_of(["faithfulness<=0.5"]))
    assert not low(replace(at, scores=(Score("faithfulness", None),)), rules_of(["faithfulness<=0.5"]))


def test_a_secret_is_needed(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    settings = small(tmp_path, webhook_url="https://hook.example/")
    with pytest.raises(WrongSetting, match="webhook_key_file"):
        outboxes(settings, lambda *_: None)
    with pytest.raises(WrongSetting, match="cannot be read"):
        secret_of(file)
    file.write_text("short\n")
    with pytest.raises(WrongSetting, match="16 bytes"):
        secret_of(file)
    file.write_text("whsec_" + base64.b64encode(SECRET).decode() + "\n")
    assert secret_of(file) == SECRET
    file.write_text(SECRET.decode() + "\n")
    assert secret_of(file) == SECRET


def test_an_answer_with_a_low_score_is_told_and_counted(heard: Listening, tmp_path: Path) -> None:
    from rag.api.application import create
    from rag.app import opening

    (tmp_path / "secret").write_bytes(SECRET)
    settings = small(
        tmp_path,
        webhook_url=heard.url,
        webhook_scores=("context_relevancy<1",),
        webhook_key_file=str(tmp_path / "secret"),
        webhook_allow_hosts=("127.0.0.1",),
    )
    with opening(settings, create=True) as app:
        browser = client(create(app))
        browser.post("/api/documents", json={"text": "Otters sleep in kelp.", "title": "Otters"})
        answered = browser.post("/api/ask", json={"question": "Where do otters sleep?"}).json()
        refused = browser.post("/api/ask", json={"question": "zzzz?", "filter": {"uri": "nowhere"}}).json()
        for _ in range(2):  # what was low when it was answered is not told again
            score(app.database, app.tenant_id, app.scorers(), Query(), again=True, heard=app.rescored)
        for outbox in app.outboxes():
            outbox.close()
        counted = browser.get("/metrics").text
    assert refused["abstained"] is True
    assert [json.loads(body)["data"]["interaction_id"] for *_, body in heard.came] == [answered["interaction_id"]]
    assert 'rag_outgoing_total{outcome="sent",to="webhook"} 1.0' in counted
    assert 'rag_refusals_total{by="house"} 1.0' in counted
    assert 'rag_scores_count{score="context_relevancy"} 1.0' in counted
