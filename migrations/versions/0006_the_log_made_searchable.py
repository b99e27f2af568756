"""The log searched by words and by what was said of it, tagged, kept under rules, and smaller.

What filters read stands in narrow rows of its own, `interaction_facts`, and words in an index, `log_words`. Both are
written by triggers alone, whoever writes the log. A later migration that rebuilds `interactions`, `scores` or
`feedback` on SQLite must make their triggers again.
"""

import json
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql, sqlite

from rag.store.tables import packed  # reads and writes each version of its format

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


# Written out, not imported from rag: a migration must stay what it was.
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
UTC = sa.DateTime(timezone=True)
SLOTS = range(1, 13)  # scores that have a column of their own
TERMS = {
    "user_id": ("user", '"user"'),
    "model_id": ("model", "model"),
    "template_id": ("template", "template"),
    "collection_term_id": ("collection", "collection"),
    "origin_id": ("origin", "origin"),
    "review_id": ("review", "review_state"),
}


def upgrade() -> None:
    op.add_column("interactions", sa.Column("review_state", sa.Text(), nullable=True))
    op.add_column("interactions", sa.Column("replays_id", sa.Text(), nullable=True))
    op.add_column("interactions", sa.Column("prompt_digest", sa.LargeBinary(), nullable=True))
    op.add_column("interactions", sa.Column("said_digest", sa.LargeBinary(), nullable=True))
    op.add_column("interactions", sa.Column("erased_at", UTC, nullable=True))
    for name in ("replays_id", "regenerates_id"):
        some = sa.text(f"{name} IS NOT NULL")
        op.create_index(
            f"ix_interactions_{name}", "interactions", [name], unique=False, sqlite_where=some, postgresql_where=some
        )
    op.create_index("ix_interactions_prompt_id", "interactions", ["prompt_id"], unique=False)
    _pack()
    op.drop_index("ix_interactions_model_id", table_name="interactions")
    op.drop_index("ix_interactions_user_id", table_name="interactions")
    op.drop_index("ix_scores_name_value", table_name="scores")
    op.create_table(
        "log_terms",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_log_terms_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_log_terms")),
        sa.UniqueConstraint("tenant_id", "field", "value", name=op.f("uq_log_terms_tenant_id_field_value")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "interaction_facts",
        sa.Column("tenant_id", ID, autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("interaction_id", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=name == "review_id") for name in TERMS),
        sa.Column("abstained", sa.Boolean(), nullable=True),
        sa.Column("failed", sa.Boolean(), nullable=False),
        sa.Column("said", sa.Integer(), server_default="0", nullable=False),
        sa.Column("good", sa.Integer(), server_default="0", nullable=False),
        sa.Column("bad", sa.Integer(), server_default="0", nullable=False),
        sa.Column("total_ms", sa.Float(), nullable=False),
        sa.Column("prompt_tokens", sa.Integer(), nullable=True),
        sa.Column("completion_tokens", sa.Integer(), nullable=True),
        sa.Column("confidence", sa.Float(), nullable=True),
        *(sa.Column(f"score_{slot}", sa.Float(), nullable=True) for slot in SLOTS),
        sa.ForeignKeyConstraint(
            ["interaction_id"],
            ["interactions.id"],
            name=op.f("fk_interaction_facts_interaction_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "number", name=op.f("pk_interaction_facts")),
        sa.UniqueConstraint("interaction_id", name=op.f("uq_interaction_facts_interaction_id")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_interaction_facts_tenant_id_user_id_number",
        "interaction_facts",
        ["tenant_id", "user_id", "number"],
        unique=False,
    )
    op.create_table(
        "interaction_tags",
        sa.Column("tenant_id", ID, autoincrement=False, nullable=False),
        sa.Column("tag_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.ForeignKeyConstraint(["tag_id"], ["log_terms.id"], name=op.f("fk_interaction_tags_tag_id")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "number"],
            ["interaction_facts.tenant_id", "interaction_facts.number"],
            name=op.f("fk_interaction_tags_tenant_id_number"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "tag_id", "number", name=op.f("pk_interaction_tags")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_interaction_tags_tenant_id_number", "interaction_tags", ["tenant_id", "number"], unique=False)
    op.create_table(
        "saved_views",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("query", JSON, nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_saved_views_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_views")),
        sa.UniqueConstraint("tenant_id", "user", "name", name=op.f("uq_saved_views_tenant_id_user_name")),
        sqlite_autoincrement=True,
    )
    statements = POSTGRESQL if op.get_bind().dialect.name == "postgresql" else SQLITE
    for statement in (*statements, *_known(op.get_bind().dialect.name)):
        op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    execute = op.get_bind().exec_driver_sql
    if op.get_bind().dialect.name == "postgresql":
        for table, triggers in TRIGGERS.items():
            for trigger in triggers:
                execute(f"DROP TRIGGER {trigger} ON {table}")
        for name in FUNCTIONS:
            execute(f"DROP FUNCTION {name}")
        execute("DROP SEQUENCE interaction_numbers")
        execute("DROP TABLE log_words")
    else:
        for trigger in (name for names in TRIGGERS.values() for name in names):
            execute(f"DROP TRIGGER {trigger}")
        execute("DROP TABLE log_words")
    _unpack()
    op.drop_table("saved_views")
    op.drop_table("interaction_tags")
    op.drop_table("interaction_facts")
    op.drop_table("log_terms")
    op.create_index("ix_scores_name_value", "scores", ["name", "value"], unique=False)
    op.create_index("ix_interactions_user_id", "interactions", ["user", "id"], unique=False)
    op.create_index("ix_interactions_model_id", "interactions", ["model", "id"], unique=False)
    op.drop_index("ix_interactions_prompt_id", table_name="interactions")
    op.drop_index("ix_interactions_regenerates_id", table_name="interactions")
    op.drop_index("ix_interactions_replays_id", table_name="interactions")
    for name in ("erased_at", "said_digest", "prompt_digest", "replays_id", "review_state"):
        op.drop_column("interactions", name)


# ── ranks, scores and places in few bytes ───────────────────────────────────────────────────────────────────────────


def _pack() -> None:
    op.add_column("interactions", sa.Column("ranked", sa.LargeBinary(), nullable=True))
    for row in _rows("interactions", ["id"], [sa.column("candidates", JSON)]):
        _set("interactions", {"id": row.id}, ranked=packed.packed_ranking(row.candidates))
    op.drop_column("interactions", "candidates")
    op.execute("ALTER TABLE interactions RENAME COLUMN ranked TO candidates")
    key = ["interaction_id", "number"]
    op.add_column("interaction_passages", sa.Column("stages", sa.LargeBinary(), nullable=True))
    op.add_column("interaction_passages", sa.Column("shown_id", ID, nullable=True))
    told = [sa.column("page"), *(sa.column(name, JSON) for name in ("headings", "places", "parts"))]
    for row in _rows("interaction_passages", key, told):
        shown = {"headings": row.headings, "page": row.page, "places": row.places}
        _set(
            "interaction_passages",
            {name: getattr(row, name) for name in key},
            stages=packed.packed_stages(row.parts),
            shown_id=_shown(row.interaction_id, json.dumps(shown, ensure_ascii=False, sort_keys=True)),
        )
    kwargs = {} if _postgresql() else {"recreate": "always", "table_kwargs": {"sqlite_with_rowid": False}}
    with op.batch_alter_table("interaction_passages", **kwargs) as batch:  # type: ignore[arg-type]
        for name in ("headings", "page", "places", "parts"):
            batch.drop_column(name)
        batch.alter_column("stages", new_column_name="parts", nullable=False, existing_type=sa.LargeBinary())
        batch.alter_column("shown_id", nullable=False, existing_type=ID)
        batch.create_foreign_key(op.f("fk_interaction_passages_shown_id"), "texts", ["shown_id"], ["id"])


def _unpack() -> None:
    op.add_column("interactions", sa.Column("ranked", JSON, server_default="[]", nullable=False))
    for row in _rows("interactions", ["id"], [sa.column("candidates")]):
        _set("interactions", {"id": row.id}, ranked=packed.unpacked_ranking(row.candidates))
    op.drop_column("interactions", "candidates")
    op.execute("ALTER TABLE interactions RENAME COLUMN ranked TO candidates")
    key = ["interaction_id", "number"]
    for column in (sa.Column("stages", JSON), sa.Column("headings", JSON), sa.Column("places", JSON)):
        op.add_column("interaction_passages", column)
    op.add_column("interaction_passages", sa.Column("page", sa.Integer(), nullable=True))
    texts = sa.table("texts", sa.column("id"), sa.column("text"))
    for row in _rows("interaction_passages", key, [sa.column("parts"), sa.column("shown_id")]):
        text = op.get_bind().scalar(sa.select(texts.c.text).where(texts.c.id == row.shown_id))
        _set(
            "interaction_passages",
            {name: getattr(row, name) for name in key},
            stages=packed.unpacked_stages(row.parts),
            **json.loads(str(text)),
        )
    kwargs = {} if _postgresql() else {"recreate": "always", "table_kwargs": {"sqlite_with_rowid": True}}
    with op.batch_alter_table("interaction_passages", **kwargs) as batch:  # type: ignore[arg-type]
        batch.drop_constraint(op.f("fk_interaction_passages_shown_id"), type_="foreignkey")
        batch.drop_column("shown_id")
        batch.drop_column("parts")
        batch.alter_column("stages", new_column_name="parts", nullable=False, existing_type=JSON)
        batch.alter_column("headings", nullable=False, existing_type=JSON)
        batch.alter_column("places", nullable=False, existing_type=JSON)
    op.get_bind().execute(
        sa.text("DELETE FROM texts WHERE id NOT IN (SELECT prompt_id FROM interactions WHERE prompt_id IS NOT NULL)")
    )


def _postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def _rows(table: str, key: list[str], told: list[sa.ColumnClause[Any]]) -> Iterator[Any]:
    """Every row of a table, some hundred at a time, by its key."""
    keys: list[sa.ColumnClause[Any]] = [sa.column(name) for name in key]
    last: tuple[object, ...] | None = None
    while True:
        wanted = sa.select(*keys, *told).select_from(sa.table(table)).order_by(*keys).limit(500)
        if last is not None:
            wanted = wanted.where(sa.tuple_(*keys) > sa.tuple_(*(sa.literal(each) for each in last)))
        rows = op.get_bind().execute(wanted).all()
        yield from rows
        if not rows:
            return
        last = tuple(rows[-1][: len(key)])


def _set(table: str, key: dict[str, object], **values: object) -> None:
    kinds = {"ranked": JSON, "stages": JSON, "headings": JSON, "places": JSON}
    columns = [
        sa.column(name, kinds[name]) if name in kinds and not isinstance(value, bytes | None) else sa.column(name)
        for name, value in values.items()
    ]
    target = sa.table(table, *(sa.column(name) for name in key), *columns)
    op.get_bind().execute(
        sa.update(target).where(*(target.c[name] == value for name, value in key.items())).values(values)
    )


def _shown(interaction_id: str, text: str) -> int:
    """The text's id among those of the interaction's tenant."""
    bind = op.get_bind()
    interactions = sa.table("interactions", sa.column("id"), sa.column("tenant_id"))
    texts = sa.table("texts", sa.column("id"), sa.column("tenant_id"), sa.column("digest"), sa.column("text"))
    tenant = bind.scalar(sa.select(interactions.c.tenant_id).where(interactions.c.id == interaction_id))
    secret = bind.scalar(sa.text("SELECT secret FROM installation"))
    digest = blake2b(text.encode(), key=bytes(secret or b""), digest_size=32).digest()
    insert = (postgresql if _postgresql() else sqlite).insert(texts)
    bind.execute(insert.values(tenant_id=tenant, digest=digest, text=text).on_conflict_do_nothing())
    found = bind.scalar(sa.select(texts.c.id).where(texts.c.tenant_id == tenant, texts.c.digest == digest))
    return int(found or 0)


# ── what triggers do ────────────────────────────────────────────────────────────────────────────────────────────────

TRIGGERS = {
    "interactions": ("interactions_logged", "interactions_reworded", "interactions_changed", "interactions_gone"),
    "scores": ("scores_given", "scores_changed", "scores_taken"),
    "feedback": ("feedback_given", "feedback_changed", "feedback_taken"),
}
FUNCTIONS = (
    "interaction_logged()",
    "interaction_reworded()",
    "interaction_changed()",
    "interaction_gone()",
    "score_given()",
    "score_changed()",
    "feedback_counted()",
    "score_slot(bigint, text)",
    "log_term(bigint, text, text)",
    "log_said(text)",
)


def _said(row: str) -> str:
    """What of a row of the log is searched: question, answer, and the words of the search where they are others."""
    line = "chr(10)" if row.startswith("p_") else "char(10)"
    name = row.removeprefix("p_")
    return (
        f"{name}.question || {line} || coalesce({name}.answer, '') || CASE WHEN {name}.search_query = {name}.question "
        f"THEN '' ELSE {line} || {name}.search_query END"
    )


# Milliseconds since 1970, then 20 bits that tell rows of one millisecond apart: rows are in the order of their time,
# and a span of time is a span of numbers.
_SQLITE_MS = (
    "(CAST(strftime('%s', substr({row}.created_at, 1, 19)) AS INTEGER) * 1000"
    " + CAST(substr({row}.created_at, 21, 3) AS INTEGER))"
)


def _sqlite_number(row: str) -> str:
    return f"{_SQLITE_MS.format(row=row)} * 1048576 + ({row}.rowid & 1048575)"


def _sqlite_term(row: str, field: str, column: str) -> str:
    return (
        f"(SELECT id FROM log_terms WHERE tenant_id = {row}.tenant_id AND field = '{field}' AND value = {row}.{column})"
    )


def _sqlite_terms(fields: list[tuple[str, str]], source: str, row: str) -> str:
    """Names that are new, in the order in which they come."""
    told = " UNION ".join(
        f"SELECT {row}.tenant_id AS tenant_id, '{field}' AS field, {row}.{column} AS value {source}"
        for field, column in fields
    )
    return (
        f"INSERT INTO log_terms (tenant_id, field, value) SELECT f.tenant_id, f.field, f.value FROM ({told}) f "
        "WHERE f.value IS NOT NULL AND NOT EXISTS (SELECT 1 FROM log_terms t "
        "WHERE t.tenant_id = f.tenant_id AND t.field = f.field AND t.value = f.value)"
    )


_FACTS = ("tenant_id", "number", "interaction_id", *TERMS)
_PLAIN = ("abstained", "failed", "total_ms", "prompt_tokens", "completion_tokens", "confidence")


def _sqlite_facts(row: str) -> str:
    values = [
        f"{row}.tenant_id",
        _sqlite_number(row),
        f"{row}.id",
        *(_sqlite_term(row, field, column) for field, column in TERMS.values()),
        f"{row}.abstained",
        f"{row}.error IS NOT NULL",
        f"{row}.total_ms",
        f"{row}.prompt_tokens",
        f"{row}.completion_tokens",
        f"json_extract({row}.settings, '$.confidence')",
    ]
    return f"INSERT INTO interaction_facts ({', '.join((*_FACTS, *_PLAIN))}) SELECT {', '.join(values)}"


_SLOT = (
    "(SELECT t.slot FROM log_terms t, interaction_facts f WHERE f.interaction_id = {row}.interaction_id"
    " AND t.tenant_id = f.tenant_id AND t.field = 'score' AND t.value = {row}.name)"
)


def _sqlite_scored(row: str, value: str) -> str:
    """Give the row's score its new value, where it has a column."""
    slot = _SLOT.format(row=row)
    sets = ", ".join(f"score_{n} = CASE s.slot WHEN {n} THEN {value} ELSE score_{n} END" for n in SLOTS)
    return (
        f"UPDATE interaction_facts SET {sets} FROM (SELECT {slot} AS slot) s "
        f"WHERE interaction_id = {row}.interaction_id AND s.slot IS NOT NULL"
    )


def _newest(row: str) -> str:
    return (
        f"(SELECT z.value FROM scores z WHERE z.interaction_id = {row}.interaction_id AND z.name = {row}.name "
        "AND z.value IS NOT NULL ORDER BY z.id DESC LIMIT 1)"
    )


def _counted(row: str) -> str:
    here = f"FROM feedback b WHERE b.interaction_id = {row}.interaction_id"
    return (
        f"UPDATE interaction_facts SET said = (SELECT count(*) {here}), "
        f"good = (SELECT count(*) {here} AND b.rating = 1), bad = (SELECT count(*) {here} AND b.rating = -1) "
        f"WHERE interaction_id = {row}.interaction_id"
    )


_NEW_SCORE = (
    "INSERT INTO log_terms (tenant_id, field, value, slot) SELECT f.tenant_id, 'score', new.name,"
    " (SELECT CASE WHEN count(*) < 12 THEN count(*) + 1 END FROM log_terms n WHERE n.tenant_id = f.tenant_id"
    " AND n.field = 'score' AND n.slot IS NOT NULL) FROM interaction_facts f"
    " WHERE f.interaction_id = new.interaction_id AND NOT EXISTS (SELECT 1 FROM log_terms t"
    " WHERE t.tenant_id = f.tenant_id AND t.field = 'score' AND t.value = new.name)"
)


def _forget(row: str) -> str:
    return (
        "INSERT INTO log_words (log_words, rowid, said) SELECT 'delete', f.number, "
        f"{_said(row)} FROM interaction_facts f WHERE f.interaction_id = {row}.id"
    )


_ALL_TERMS = list(TERMS.values())
_CHANGING = ("user_id", "origin_id", "review_id")

SQLITE = (
    "CREATE VIRTUAL TABLE log_words USING fts5(said, content='', columnsize=0,"
    " tokenize='unicode61 remove_diacritics 0')",
    f"""CREATE TRIGGER interactions_logged AFTER INSERT ON interactions BEGIN
        {_sqlite_terms(_ALL_TERMS, "", "new")};
        {_sqlite_facts("new")};
        INSERT INTO log_words (rowid, said) SELECT {_sqlite_number("new")}, {_said("new")};
    END""",
    f"""CREATE TRIGGER interactions_reworded AFTER UPDATE OF question, answer, search_query ON interactions BEGIN
        {_forget("old")};
        INSERT INTO log_words (rowid, said) SELECT f.number, {_said("new")}
            FROM interaction_facts f WHERE f.interaction_id = new.id;
    END""",
    f"""CREATE TRIGGER interactions_changed AFTER UPDATE OF "user", origin, abstained, error, review_state, settings
        ON interactions BEGIN
        {_sqlite_terms(_ALL_TERMS, "", "new")};
        UPDATE interaction_facts SET
            {", ".join(f"{name} = {_sqlite_term('new', *TERMS[name])}" for name in _CHANGING)},
            abstained = new.abstained, failed = new.error IS NOT NULL,
            confidence = json_extract(new.settings, '$.confidence')
            WHERE interaction_id = new.id;
    END""",
    f"""CREATE TRIGGER interactions_gone BEFORE DELETE ON interactions BEGIN
        {_forget("old")};
    END""",
    f"""CREATE TRIGGER scores_given AFTER INSERT ON scores WHEN new.value IS NOT NULL BEGIN
        {_NEW_SCORE};
        {_sqlite_scored("new", "new.value")};
    END""",
    f"""CREATE TRIGGER scores_changed AFTER UPDATE OF value ON scores BEGIN
        {_NEW_SCORE};
        {_sqlite_scored("new", _newest("new"))};
    END""",
    f"""CREATE TRIGGER scores_taken AFTER DELETE ON scores BEGIN
        {_sqlite_scored("old", _newest("old"))};
    END""",
    *(
        f"CREATE TRIGGER feedback_{what} AFTER {event} ON feedback BEGIN {_counted(row)}; END"
        for what, event, row in (
            ("given", "INSERT", "new"),
            ("changed", "UPDATE OF rating", "new"),
            ("taken", "DELETE", "old"),
        )
    ),
)

_POSTGRESQL_NUMBER = (
    "floor(extract(epoch FROM {row}.created_at) * 1000)::bigint * 1048576 + (nextval('interaction_numbers') & 1048575)"
)


def _postgresql_facts(row: str) -> str:
    values = [
        f"{row}.tenant_id",
        _POSTGRESQL_NUMBER.format(row=row),
        f"{row}.id",
        *(f"log_term({row}.tenant_id, '{field}', {row}.{column})" for field, column in TERMS.values()),
        f"{row}.abstained",
        f"{row}.error IS NOT NULL",
        f"{row}.total_ms",
        f"{row}.prompt_tokens",
        f"{row}.completion_tokens",
        f"({row}.settings ->> 'confidence')::float8",
    ]
    return f"INSERT INTO interaction_facts ({', '.join((*_FACTS, *_PLAIN))}) SELECT {', '.join(values)}"


def _postgresql_words(row: str, source: str) -> str:
    return f"INSERT INTO log_words (number, words) SELECT f.number, log_said({_said('p_' + row)}) {source}"


def _function(name: str, body: str) -> str:
    return f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$"


_SCORED = f"""
    PERFORM score_slot(n.tenant_id, n.name) FROM (SELECT DISTINCT f.tenant_id, s.name
        FROM {{rows}} s JOIN interaction_facts f ON f.interaction_id = s.interaction_id WHERE s.value IS NOT NULL) n;
    UPDATE interaction_facts f
        SET {", ".join(f"score_{n} = CASE WHEN t.touched_{n} THEN t.score_{n} ELSE f.score_{n} END" for n in SLOTS)}
        FROM (SELECT s.interaction_id,
                {", ".join(f"bool_or(s.slot = {n}) AS touched_{n}" for n in SLOTS)},
                {", ".join(f"max(s.value) FILTER (WHERE s.slot = {n}) AS score_{n}" for n in SLOTS)}
            FROM ({{newest}}) s GROUP BY s.interaction_id) t
        WHERE t.interaction_id = f.interaction_id;
    RETURN NULL;"""
_SLOTTED = """FROM {rows} s JOIN interaction_facts f ON f.interaction_id = s.interaction_id
            JOIN log_terms n ON n.tenant_id = f.tenant_id AND n.field = 'score' AND n.value = s.name"""

POSTGRESQL = (
    "CREATE SEQUENCE interaction_numbers",
    "ALTER TABLE interaction_facts SET (fillfactor = 90)",
    "CREATE TABLE log_words (number bigint PRIMARY KEY, words tsvector NOT NULL)",
    # As the tokenizer of SQLite has it: runs of letters and digits, in lower case.
    """CREATE FUNCTION log_said(said text) RETURNS tsvector LANGUAGE sql IMMUTABLE AS $$
        SELECT to_tsvector('simple', regexp_replace(lower(left(said, 200000)), '[^[:alnum:]]+', ' ', 'g')) $$""",
    """CREATE FUNCTION log_term(tenant bigint, kind text, named text) RETURNS integer LANGUAGE plpgsql AS $$
        DECLARE found integer;
        BEGIN
            IF named IS NULL THEN RETURN NULL; END IF;
            SELECT id INTO found FROM log_terms WHERE tenant_id = tenant AND field = kind AND value = named;
            IF found IS NULL THEN
                INSERT INTO log_terms (tenant_id, field, value) VALUES (tenant, kind, named) ON CONFLICT DO NOTHING;
                SELECT id INTO found FROM log_terms WHERE tenant_id = tenant AND field = kind AND value = named;
            END IF;
            RETURN found;
        END $$""",
    """CREATE FUNCTION score_slot(tenant bigint, named text) RETURNS integer LANGUAGE plpgsql AS $$
        DECLARE taken log_terms;
        BEGIN
            SELECT * INTO taken FROM log_terms WHERE tenant_id = tenant AND field = 'score' AND value = named;
            IF taken.id IS NULL THEN
                PERFORM pg_advisory_xact_lock(6006, tenant::integer);
                INSERT INTO log_terms (tenant_id, field, value, slot)
                    SELECT tenant, 'score', named, CASE WHEN count(*) < 12 THEN count(*) + 1 END FROM log_terms
                    WHERE tenant_id = tenant AND field = 'score' AND slot IS NOT NULL
                    ON CONFLICT DO NOTHING;
                SELECT * INTO taken FROM log_terms WHERE tenant_id = tenant AND field = 'score' AND value = named;
            END IF;
            RETURN taken.slot;
        END $$""",
    _function(
        "interaction_logged",
        f"{_postgresql_facts('new')}; "
        f"{_postgresql_words('new', 'FROM interaction_facts f WHERE f.interaction_id = new.id')}; RETURN NULL;",
    ),
    _function(
        "interaction_reworded",
        f"UPDATE log_words SET words = log_said({_said('p_new')}) "
        "WHERE number = (SELECT f.number FROM interaction_facts f WHERE f.interaction_id = new.id); RETURN NULL;",
    ),
    _function(
        "interaction_gone",
        "DELETE FROM log_words "
        "WHERE number = (SELECT f.number FROM interaction_facts f WHERE f.interaction_id = old.id); RETURN old;",
    ),
    _function(
        "interaction_changed",
        """UPDATE interaction_facts SET user_id = log_term(new.tenant_id, 'user', new."user"),
            origin_id = log_term(new.tenant_id, 'origin', new.origin),
            review_id = log_term(new.tenant_id, 'review', new.review_state),
            abstained = new.abstained, failed = new.error IS NOT NULL,
            confidence = (new.settings ->> 'confidence')::float8
            WHERE interaction_id = new.id; RETURN NULL;""",
    ),
    _function(
        "score_given",
        _SCORED.format(
            rows="given",
            newest=f"""SELECT DISTINCT ON (s.interaction_id, s.name) s.interaction_id, n.slot, s.value
            {_SLOTTED.format(rows="given")} WHERE s.value IS NOT NULL ORDER BY s.interaction_id, s.name, s.id DESC""",
        ),
    ),
    _function(
        "score_changed",
        _SCORED.format(
            rows="changed",
            newest=f"""SELECT DISTINCT s.interaction_id, n.slot, {_newest("s")} AS value
            {_SLOTTED.format(rows="changed")}""",
        ),
    ),
    _function(
        "feedback_counted",
        f"""IF TG_OP = 'DELETE' THEN {_counted("old")}; ELSE {_counted("new")}; END IF; RETURN NULL;""",
    ),
    "CREATE TRIGGER interactions_logged AFTER INSERT ON interactions"
    " FOR EACH ROW EXECUTE FUNCTION interaction_logged()",
    "CREATE TRIGGER interactions_reworded AFTER UPDATE OF question, answer, search_query ON interactions"
    " FOR EACH ROW EXECUTE FUNCTION interaction_reworded()",
    'CREATE TRIGGER interactions_changed AFTER UPDATE OF "user", origin, abstained, error, review_state, settings'
    " ON interactions FOR EACH ROW EXECUTE FUNCTION interaction_changed()",
    "CREATE TRIGGER scores_given AFTER INSERT ON scores REFERENCING NEW TABLE AS given"
    " FOR EACH STATEMENT EXECUTE FUNCTION score_given()",
    "CREATE TRIGGER scores_changed AFTER UPDATE ON scores REFERENCING NEW TABLE AS changed"
    " FOR EACH STATEMENT EXECUTE FUNCTION score_changed()",
    "CREATE TRIGGER scores_taken AFTER DELETE ON scores REFERENCING OLD TABLE AS changed"
    " FOR EACH STATEMENT EXECUTE FUNCTION score_changed()",
    *(
        f"CREATE TRIGGER feedback_{what} AFTER {event} ON feedback FOR EACH ROW EXECUTE FUNCTION feedback_counted()"
        for what, event in (("given", "INSERT"), ("changed", "UPDATE OF rating"), ("taken", "DELETE"))
    ),
    "CREATE TRIGGER interactions_gone BEFORE DELETE ON interactions FOR EACH ROW EXECUTE FUNCTION interaction_gone()",
    "CREATE INDEX ix_log_words_words ON log_words USING gin (words)",
)


# ── what is in the log already ──────────────────────────────────────────────────────────────────────────────────────


def _known(dialect: str) -> tuple[str, ...]:
    """Give facts to what was logged before, as the triggers would have."""
    if dialect == "postgresql":
        return (
            f"{_postgresql_facts('i')} FROM interactions i ORDER BY i.id",
            _postgresql_words("i", "FROM interactions i JOIN interaction_facts f ON f.interaction_id = i.id"),
            "UPDATE scores SET value = value WHERE value IS NOT NULL",
            "UPDATE feedback SET rating = rating",
        )
    return (
        _sqlite_terms(_ALL_TERMS, "FROM interactions i", "i"),
        f"{_sqlite_facts('i')} FROM interactions i ORDER BY i.id",
        f"INSERT INTO log_words (rowid, said) SELECT f.number, {_said('i')} FROM interactions i "
        "JOIN interaction_facts f ON f.interaction_id = i.id ORDER BY f.number",
        "UPDATE scores SET value = value WHERE value IS NOT NULL",
        "UPDATE feedback SET rating = rating",
    )
