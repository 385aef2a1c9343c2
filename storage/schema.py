"""The tables. Types are portable; what differs by database is kept out of here.

Invariants: order is `position`, never a time. A reply's text is stored once, in its output item.
Conversations own everything but idempotency keys, which stay so that a late retry never runs a model twice.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    }
)

# A JSON value that is absent is SQL NULL, never the JSON word null.
JsonObject = JSON(none_as_null=True)

# One row: the number of changes so far, source of conversations.updated_order.
change_counter = Table(
    "change_counter",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("value", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)

conversations = Table(
    "conversations",
    metadata,
    Column("id", String, primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("title", Text),
    Column("model", Text),
    Column("instructions", Text),
    Column("metadata", JsonObject, nullable=False),
    Column("listed", Boolean, nullable=False),
    # No foreign key: it would tie conversations and items into a circle.
    Column("active_leaf", String),
    Column("next_position", Integer, nullable=False),
    Column("updated_order", BigInteger, nullable=False),
    Index(None, "listed", "updated_order"),
    Index(None, "title"),
)

items = Table(
    "items",
    metadata,
    Column("id", String, primary_key=True),
    Column("conversation_id", ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
    Column("parent_id", ForeignKey("items.id"), index=True),
    Column("position", Integer, nullable=False),
    Column("role", String, nullable=False),
    Column("status", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("conversation_id", "position"),
    CheckConstraint("role IN ('system', 'user', 'assistant')", name="role"),
    CheckConstraint("status IN ('in_progress', 'completed', 'incomplete')", name="status"),
)

responses = Table(
    "responses",
    metadata,
    Column("id", String, primary_key=True),
    Column("conversation_id", ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
    # No foreign key: the id stays true after the earlier response is deleted.
    Column("previous_response_id", String),
    Column("output_item_id", ForeignKey("items.id", ondelete="CASCADE"), nullable=False, unique=True),
    Column("model", Text, nullable=False),
    Column("request", JsonObject, nullable=False),
    Column("state", String, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("completed_at", BigInteger),
    Column("delta_lengths", LargeBinary, nullable=False),
    Column("incomplete_reason", Text),
    Column("error_code", Text),
    Column("error_message", Text),
    Column("usage", JsonObject),
    Column("context", JsonObject),
    Index(None, "conversation_id"),
    CheckConstraint(
        "state IN ('queued', 'in_progress', 'completed', 'cancelled', 'incomplete', 'failed')", name="state"
    ),
)

# Written out, not bound: a planner takes a partial index only if it sees the index's own condition.
is_unfinished = text("state IN ('queued', 'in_progress')")
Index("ix_responses_unfinished", responses.c.conversation_id, sqlite_where=is_unfinished)

response_inputs = Table(
    "response_inputs",
    metadata,
    Column("response_id", ForeignKey("responses.id", ondelete="CASCADE"), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("item_id", ForeignKey("items.id", ondelete="CASCADE"), nullable=False, index=True),
    PrimaryKeyConstraint("response_id", "ordinal"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    # Neither the key nor a hash of the request that could be guessed: see storage/sealed_keys.py.
    Column("key_sha256", String, primary_key=True),
    Column("sealed_body", String, nullable=False),
    # No foreign key: a key outlives its response.
    Column("response_id", String, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)
