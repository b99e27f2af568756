"""Prompt templates: what may stand in one, its versions in SQL, and that the log can always show its text."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from rag.answers.templating import LONGEST_TEXT, check, messages, uses
from rag.api.application import create
from rag.app import App, opening
from rag.client import Client
from rag.errors import Conflict, NotFound, RagError, TooMuch, WrongUsage
from rag.prompt import built_ins, render
from rag.store import collections as collection_store
from rag.store import templates as store
from rag.store.database import Database
from rag.types import Template
from tests.api import OTTERS, client, make_token, small
from tests.cli_house import House, build
from tests.test_client import InProcess
from tests.test_prompt import passage

GOOD = (
    "{% block system %}Be brief. No: {{ abstention }}{% endblock %}\n"
    "{% block user %}\n"
    "{% for p in passages %}{{ fence }} [{{ p.number }}]\n{{ p.text }}\n{{ fence }}\n{% endfor %}"
    "{{ question }}{% endblock %}\n"
)


def template(text: str, name: str = "mine") -> Template:
    return Template(name, text)


def body(inside: str) -> str:
    """A template of which line 2 is this, and which is right otherwise."""
    return "{% block user %}{% for p in passages %}{{ p.text }}{% endfor %}{{ question }}\n" + inside + "{% endblock %}"


# ── what may stand in one ───────────────────────────────────────────────────────────────────────────────────────────


def test_the_built_in_templates_pass_their_own_check() -> None:
    assert [check(each) for each in built_ins().values()] == [()] * 3


def test_a_good_template_passes_and_writes_its_messages() -> None:
    assert check(template(GOOD)) == ()
    told = render("Why?", [passage("Because.")], template=template(GOOD))
    assert [message.role for message in told] == ["system", "user"]
    assert told[1].content == "\n~~~ [1]\nBecause.\n~~~\nWhy?"
    assert uses(template(GOOD), "fence")
    assert not uses(template(GOOD), "history")


def test_without_a_system_block_there_is_no_system_message() -> None:
    assert [m.role for m in render("Why?", [], template=template(body("")))] == ["user"]


def test_what_is_lacking_without_being_wrong_is_said() -> None:
    assert [remark.split(":")[0] for remark in check(template(body("")))] == [
        "it does not use {{ fence }}",
        "it does not use {{ abstention }}",
        "it does not number the passages",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (body("{{ pasages }}"), "line 2: there is no variable 'pasages'"),
        (body("{% for p in passages %}{{ p.txt }}{% endfor %}"), "line 2: nothing has a field 'txt'"),
        (body("{% for t in history %}{{ t.text }}{% endfor %}"), "line 2: .*no attribute 'text'"),
        (body("{% for p in passages %}\n{{ p.role }}\n{% endfor %}"), "line 3: .*no attribute 'role'"),
        (body("{% if %}"), "line 2: "),
        (body("{{ 1 + }}"), "line 2: "),
        (body("{% for p in passages %}"), "line 2: "),
        (body("{{ range(9) }}"), "line 2: (Call cannot be used|there is no variable 'range')"),
        (body("{{ question.upper() }}"), "line 2: (Call cannot|nothing has a field 'upper')"),
        (body("{{ question.__class__ }}"), "line 2: nothing has a field '__class__'"),
        (body("{{ question['__class__'] }}"), "line 2: .*unsafe|line 2: .*attribute"),
        (body("{{ 'a' * 1000000000 }}"), "line 2: Mul cannot be used"),
        (body("{{ 2 ** 9 }}"), "line 2: Pow cannot be used"),
        (body("{{ '%999999999d' % 1 }}"), "line 2: Mod cannot be used"),
        (body("{{ question ~ question }}"), "line 2: Concat cannot be used"),
        (body("{{ question|center(1000000000) }}"), "line 2: there is no filter 'center'"),
        (body("{{ question|nofilter }}"), "line 2: "),
        (body("{% if question is mapping %}{% endif %}"), "line 2: there is no test 'mapping'"),
        (body("{% set x = 1 %}"), "line 2: Assign cannot be used"),
        (body("{% macro m() %}{% endmacro %}"), "line 2: Macro cannot be used"),
        (body("{% include '/etc/passwd' %}"), "line 2: Include cannot be used"),
        (body("{% import 'os' as os %}"), "line 2: Import cannot be used"),
        (body("{% for c in question %}{% endfor %}"), "line 2: loops go over passages or history"),
        (body("{% for a, b in passages %}{% endfor %}"), "line 2: a loop has one variable"),
        (body("{% for question in passages %}{% endfor %}"), "line 2: 'question' is a variable already"),
        (body("{% for a in passages %}" * 3 + "{% endfor %}" * 3), "more than 2 loops"),
        (body("{% block system %}{% endblock %}"), "line 2: a block stands within another"),
        ("{% extends 'x' %}" + body(""), "line 1: "),
        ("\n\nlost text\n" + body(""), "line 3: this stands outside of the blocks"),
        ("{{ question }}\n" + body(""), "line 1: this stands outside of the blocks"),
        (body("") + "\n{% block users %}{% endblock %}", "line 3: blocks are system and user, not 'users'"),
        ("{% block system %}{{ question }}{% endblock %}", "no {% block user %}"),
        ("", "no {% block user %}"),
        ("{% block user %}{{ question }}{% endblock %}", "does not show the text of a passage"),
        ("{% block user %}{% for p in passages %}{{ p.text }}{% endfor %}{% endblock %}", "does not show the question"),
        ("{% block user %}{{ passages[0].text }}{{ question }}{% endblock %}", "line 1: "),
        (
            "{% block user %}{% for p in passages[:1] %}{{ p.text }}{% endfor %}{{ question }}{% endblock %}",
            "does not show the text of a passage",
        ),
        (body("x" * LONGEST_TEXT), "65536 at most"),
        (body("\x00"), "line 2: it holds a NUL"),
        (body("{% if question %}" * 150 + "{% endif %}" * 150), "nested too deeply"),
        ("{% block user %}" + "(" * 5 + "{{ " + "(" * 3000 + " }}{% endblock %}", "mine"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(WrongUsage, match=said.replace("{%", r"\{%")) as raised:
        check(template(text))
    assert str(raised.value).startswith("mine")


@pytest.mark.parametrize("name", ["", "Mine", "a b", "a@b", "../x", "é", "a" * 65, "-a"])
def test_a_name_is_a_plain_word(name: str) -> None:
    with pytest.raises(WrongUsage, match="cannot name a template"):
        check(Template(name, GOOD))


def test_what_a_template_writes_is_bounded() -> None:
    twice = body("{% for a in passages %}{% for b in passages %}{{ a.text }}{% endfor %}{% endfor %}")
    check(template(twice))
    with pytest.raises(TooMuch, match="10,000,000 characters"):
        render("Why?", [passage("x" * 20_000)] * 30, template=template(twice))


def test_texts_are_never_read_as_templates() -> None:
    told = render("{{ fence }}", [passage("{{ abstention }}{% endblock %}", "{{ question }}")])
    assert "{{ question }} [1]\n{{ abstention }}{% endblock %}\n" in told[1].content


def test_a_missing_value_names_the_template_and_the_line() -> None:
    with pytest.raises(WrongUsage, match="mine, line 1: 'question' is undefined"):
        messages(template(body("")), {"passages": []})


# ── versions ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def tenant(database: Database) -> int:
    with database.write() as connection:
        return collection_store.ensure_tenant(connection)


def found(database: Database, tenant: int, named: str) -> Template:
    with database.read() as connection:
        return store.find(connection, tenant, named, built_ins()).template


def put(database: Database, tenant: int, text: str, name: str = "mine") -> bool:
    with database.write() as connection:
        return store.add(connection, tenant, Template(name, text), user="ann")


def test_a_name_means_what_was_added_last_and_a_digest_one_text_for_ever(database: Database, tenant: int) -> None:
    assert put(database, tenant, "one")
    assert put(database, tenant, "two")
    assert not put(database, tenant, "two")
    assert found(database, tenant, "mine").text == "two"
    assert found(database, tenant, Template("mine", "one").version).text == "one"
    assert put(database, tenant, "one"), "an earlier text that comes again"
    assert found(database, tenant, "mine").text == "one"
    with database.read() as connection:
        versions = store.of_name(connection, tenant, "mine", built_ins())
    assert [(each.template.text, each.current, each.user) for each in versions] == [
        ("one", True, "ann"),
        ("two", False, "ann"),
    ]


def test_a_built_in_name_means_the_built_in_text_until_another_is_added(database: Database, tenant: int) -> None:
    ours = built_ins()["answer"]
    assert found(database, tenant, "answer") == ours
    with database.write() as connection:
        store.keep(connection, tenant, Template("answer", "of an older release"))
        store.keep(connection, tenant, ours)
        store.keep(connection, tenant, ours)
    assert found(database, tenant, "answer") == ours
    put(database, tenant, "mine now", "answer")
    assert found(database, tenant, "answer").text == "mine now"
    assert found(database, tenant, ours.version) == ours
    with database.read() as connection:
        listed = store.listing(connection, tenant, built_ins())
    assert [(v.template.name, v.current, v.built_in) for v in listed] == [
        ("answer", True, False),
        ("answer", False, True),
        ("answer", False, True),
        ("conversation", True, True),
        ("summary", True, True),
    ]
    put(database, tenant, ours.text, "answer")
    assert found(database, tenant, "answer") == ours


def test_the_beginning_of_a_digest_is_enough_where_one_version_has_it(database: Database, tenant: int) -> None:
    for number in range(17):  # two of seventeen digests begin with the same digit
        put(database, tenant, str(number))
    digests = [Template("mine", str(number)).digest for number in range(17)]
    first = next(digest for digest in digests if sum(other[0] == digest[0] for other in digests) > 1)
    with pytest.raises(NotFound, match="several versions"):
        found(database, tenant, f"mine@{first[0]}")
    assert found(database, tenant, f"mine@{first[:6].upper()}").digest == first


@pytest.mark.parametrize("named", ["nope", "answer@0123", "answer@", "@12345678", "", "nope@12"])
def test_what_is_not_there_is_said(database: Database, tenant: int, named: str) -> None:
    with pytest.raises(RagError, match="template"):
        found(database, tenant, named)


def test_tenants_have_templates_of_their_own(database: Database, tenant: int) -> None:
    with database.write() as connection:
        other = collection_store.ensure_tenant(connection, "other")
    put(database, tenant, "mine alone")
    with pytest.raises(NotFound):
        found(database, other, "mine")


def test_two_texts_of_one_digest_are_never_mixed_up(database: Database, tenant: int) -> None:
    put(database, tenant, "one")
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE templates SET text = 'forged'")
    with pytest.raises(Conflict, match="another text"):
        put(database, tenant, "one")


# ── on the command line ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = build(tmp_path_factory.mktemp("templates"))
    assert house("ingest", str(house.docs)).code == 0
    return house


def test_from_a_file_to_the_log(house: House) -> None:
    file = house.folder / "mine.j2"
    file.write_text(GOOD, encoding="utf-8")
    version = Template("mine", GOOD).version
    assert house("prompts", "add", "mine", str(file)).out == f"'mine' means {version} from now on\n"
    assert "already" in house("prompts", "add", "mine", str(file)).out
    asked = house("ask", "When was the bridge opened?", "--template", "mine", "--json").json
    logged = house("logs", "show", str(asked["interaction_id"]), "--json").json
    assert logged["template"] == version
    assert house("prompts", "show", version).out == GOOD
    file.write_text(GOOD.replace("Be brief", "Be long"), encoding="utf-8")
    house("prompts", "add", "mine", str(file))
    assert house("prompts", "show", version).out == GOOD, "a version never changes"
    changed = house("prompts", "diff", version, "mine").out.splitlines()
    assert [line for line in changed if line.startswith(("+{", "-{"))] == [
        "-{% block system %}Be brief. No: {{ abstention }}{% endblock %}",
        "+{% block system %}Be long. No: {{ abstention }}{% endblock %}",
    ]
    listed = house("prompts", "list", "--json").json
    assert listed["default"] == "answer"
    ours = [(each["version"], each["current"]) for each in listed["templates"] if each["name"] == "mine"]  # type: ignore[attr-defined]
    assert ours == [(Template("mine", file.read_text()).version, True), (version, False)]


def test_the_setting_names_the_template_of_all_questions(house: House) -> None:
    asked = house("ask", "When was the bridge opened?", "--json", RAG_PROMPT_TEMPLATE="summary").json
    logged = house("logs", "show", str(asked["interaction_id"]), "--json").json
    assert logged["template"] == built_ins()["summary"].version
    assert house("ask", "Why?", RAG_PROMPT_TEMPLATE="nope").code == 1


def test_a_wrong_file_is_refused_and_nothing_is_kept(house: House) -> None:
    file = house.folder / "wrong.j2"
    file.write_text(body("{{ x }}"), encoding="utf-8")
    refused = house("prompts", "add", "wrong", str(file))
    assert refused.code == 2
    assert "wrong, line 2: there is no variable 'x'" in refused.err
    file.write_bytes(b"\xff")
    assert "is not UTF-8" in house("prompts", "add", "wrong", str(file)).err
    assert house("prompts", "show", "wrong").code == 1


def test_a_built_in_text_that_was_used_stays_when_the_program_changes_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rag import prompt

    before = built_ins()["answer"]
    asked = house("ask", "When was the bridge opened?", "--json").json
    newer = Template("answer", GOOD)
    monkeypatch.setattr(prompt, "built_in", lambda name="answer": newer)
    monkeypatch.setattr(prompt, "BUILT_IN", ("answer",))
    assert house("prompts", "show", "answer").out == GOOD
    logged = house("logs", "show", str(asked["interaction_id"]), "--json").json
    assert house("prompts", "show", str(logged["template"])).out == before.text


# ── over the API ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with opening(small(tmp_path), create=True) as opened:
        yield opened


@pytest.fixture
def api(app: App) -> FastAPI:
    return create(app)


def test_templates_over_the_api(api: FastAPI) -> None:
    browser = client(api)
    browser.post("/api/documents", json={"text": OTTERS})
    added = browser.post("/api/prompts", json={"name": "mine", "text": body("")})
    assert added.status_code == 201
    assert added.json()["added"] is True
    assert len(added.json()["remarks"]) == 3
    version = added.json()["version"]
    key = browser.post("/api/ask", json={"question": "Who sleeps?", "template": "mine"}).json()["interaction_id"]
    logged = browser.get(f"/api/interactions/{key}").json()
    assert logged["template"] == logged["prompt"]["template"] == version
    assert logged["prompt"]["left_out"] == {"budget": 1_000_000 - 512, "turns": 0, "passages": []}
    whole = browser.get(f"/api/prompts/{version}").json()
    assert whole["text"] == body("")
    assert [each["version"] for each in whole["versions"]] == [version]
    assert [each["name"] for each in browser.get("/api/prompts").json()["templates"]] == [
        "answer",
        "conversation",
        "mine",
        "summary",
    ]


def test_what_the_api_refuses(app: App, api: FastAPI) -> None:
    token = make_token(app)
    browser = client(api, token=token)
    wrong = browser.post("/api/prompts", json={"name": "mine", "text": body("{{ x }}")})
    assert wrong.status_code == 400
    assert "line 2" in wrong.json()["detail"]
    assert browser.get("/api/prompts/nope").status_code == 404
    assert browser.post("/api/ask", json={"question": "?", "template": "nope"}).status_code == 404
    bound = client(api, token=make_token(app, "bound", labels=["x"]))
    assert bound.get("/api/prompts/answer").status_code == 200
    assert bound.post("/api/prompts", json={"name": "mine", "text": GOOD}).status_code == 403
    assert browser.get("/api/prompts/mine").status_code == 404


def test_the_client_speaks_of_templates(app: App) -> None:
    with Client("http://127.0.0.1:8000", transport=InProcess(app)) as ours:
        ours.add_text(OTTERS)
        added = ours.add_prompt("mine", GOOD)
        assert added.added
        key = ours.ask("Who sleeps?", template="mine").interaction_id
        logged = ours.interaction(key)
        assert ours.prompt(logged.template).text == GOOD
        assert added.version in [each.version for each in ours.prompts()]
        with pytest.raises(WrongUsage, match="line 2"):
            ours.add_prompt("mine", body("{{ x }}"))


# ── what was left out ───────────────────────────────────────────────────────────────────────────────────────────────


def test_what_the_prompt_had_no_room_for_is_in_the_log(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from rag.generators import extractive

    monkeypatch.setattr(extractive, "CONTEXT_TOKENS", 240)
    asked = house("ask", "When was the Golden Gate Bridge opened?", "--json").json
    key = str(asked["interaction_id"])
    logged = house("logs", "show", key, "--json").json
    left_out = logged["prompt"]["left_out"]  # type: ignore[index, call-overload]
    assert left_out["budget"] == 120
    cut = left_out["passages"][0]
    assert cut["rank"] == 1
    assert cut["tokens"] > 0
    shown = house("logs", "show", key).out
    assert "Left out  the prompt could take 120 tokens" in shown
    assert f"passage 1: chunk {cut['chunk_id']}, characters" in shown
    said = house("why", "When was the Golden Gate Bridge opened?", str(house.docs / "bridges.md")).out
    assert "room for" in said


def test_a_candidate_that_was_left_out_between_others_is_logged_as_such() -> None:
    from rag.answers.telling import unshown

    found = [passage("a", chunk=1), passage("b", chunk=2), passage("c", chunk=3)]
    assert [hit.chunk_id for hit in unshown(found, [found[0], found[2]])] == [2]
