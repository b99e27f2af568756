"""Configurations tried against each other: experiments over many questions, and blind preferences between answers."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from rag.store.tables.base import Id, Json, created_column, id_column, metadata

experiments = Table(  # several configurations, put to the same questions
    "experiments",
    metadata,
    id_column(),
    Column("tenant_id", Id, ForeignKey("tenants.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("questions", Text, nullable=False),  # where they came from: the name of a set, a file or a folder
    Column("digest", Text, nullable=False),  # of the questions and what is known of them, hexadecimal
    Column("configurations", Json, nullable=False),  # [[name, {setting: value}], …]; the first is compared against
    Column("version", Text, nullable=False),  # of this program
    Column("user", Text, nullable=False),
    created_column(),
    UniqueConstraint("tenant_id", "name"),
    sqlite_autoincrement=True,
)

experiment_answers = Table(  # what one configuration made of one question
    "experiment_answers",
    metadata,
    Column("experiment_id", Id, ForeignKey("experiments.id", ondelete="CASCADE"), primary_key=True),
    Column("configuration", Integer, primary_key=True, autoincrement=False),  # from 1, in their order
    Column("number", Integer, primary_key=True, autoincrement=False),  # of the question, from 1
    Column("question_id", Text, nullable=False),
    Column("question", Text, nullable=False),
    Column("interaction_id", Text, ForeignKey("interactions.id", ondelete="SET NULL")),  # NULL: no longer in the log
    Column("values", Json, nullable=False),  # metric → value, null where it does not apply
    Column("total_ms", Float, nullable=False),
    Column("error", Text),
    Index("ix_experiment_answers_interaction_id", "interaction_id"),
)

preferences = Table(  # which of two answers to one question somebody liked better, not knowing whose they were
    "preferences",
    metadata,
    id_column(),
    Column("tenant_id", Id, ForeignKey("tenants.id"), nullable=False),
    Column("experiment_id", Id, ForeignKey("experiments.id", ondelete="SET NULL")),
    Column("question", Text, nullable=False),
    Column("first_id", Text, ForeignKey("interactions.id", ondelete="CASCADE"), nullable=False),
    Column("second_id", Text, ForeignKey("interactions.id", ondelete="CASCADE"), nullable=False),
    Column("first", Text, nullable=False),  # the name of the configuration that answered
    Column("second", Text, nullable=False),
    Column("swapped", Boolean, nullable=False),  # whether the second was shown as A
    Column("choice", Text, nullable=False),
    Column("comment", Text),
    Column("user", Text, nullable=False),  # who judged
    created_column(),
    UniqueConstraint("first_id", "second_id", "user"),
    Index("ix_preferences_tenant_id_id", "tenant_id", "id"),
    Index("ix_preferences_second_id", "second_id"),
    Index("ix_preferences_experiment_id", "experiment_id"),
    CheckConstraint("choice IN ('first', 'second', 'tie', 'neither')", name="choice"),
    sqlite_autoincrement=True,
)
