"""Conversations, the tree of items, responses, idempotency keys and adapters."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

UNFINISHED = sa.text("state IN ('queued', 'in_progress')")


def upgrade() -> None:
    _make_adapters()
    _make_change_counter()
    _make_conversations()
    _make_idempotency_keys()
    _make_items()
    _make_responses()
    _make_response_inputs()


def _make_adapters() -> None:
    op.create_table(
        "adapters",
        _column("name", sa.String()),
        _column("version", sa.Integer()),
        _column("digest", sa.String()),
        _column("base_digest", sa.String()),
        _column("path", sa.Text()),
        _column("card", _json()),
        sa.PrimaryKeyConstraint("name", "version", name="pk_adapters"),
    )


def _make_change_counter() -> None:
    op.create_table(
        "change_counter",
        _column("id", sa.Integer(), autoincrement=False),
        _column("value", sa.BigInteger()),
        sa.CheckConstraint("id = 1", name=op.f("ck_change_counter_one_row")),
        sa.PrimaryKeyConstraint("id", name="pk_change_counter"),
    )
    op.execute("INSERT INTO change_counter (id, value) VALUES (1, 0)")


def _make_conversations() -> None:
    op.create_table(
        "conversations",
        _column("id", sa.String()),
        _column("created_at", sa.BigInteger()),
        _column("title", sa.Text(), nullable=True),
        _column("model", sa.Text(), nullable=True),
        _column("instructions", sa.Text(), nullable=True),
        _column("metadata", _json()),
        _column("listed", sa.Boolean()),
        _column("active_leaf", sa.String(), nullable=True),
        _column("next_position", sa.Integer()),
        _column("updated_order", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_conversations"),
    )
    op.create_index("ix_conversations_listed_updated_order", "conversations", ["listed", "updated_order"])
    op.create_index("ix_conversations_title", "conversations", ["title"])


def _make_idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        _column("key", sa.String()),
        _column("body_sha256", sa.String()),
        _column("response_id", sa.String()),
        _column("created_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("key", name="pk_idempotency_keys"),
    )


def _make_items() -> None:
    op.create_table(
        "items",
        _column("id", sa.String()),
        _column("conversation_id", sa.String()),
        _column("parent_id", sa.String(), nullable=True),
        _column("position", sa.Integer()),
        _column("role", sa.String()),
        _column("status", sa.String()),
        _column("text", sa.Text()),
        _column("created_at", sa.BigInteger()),
        sa.CheckConstraint("role IN ('system', 'user', 'assistant')", name=op.f("ck_items_role")),
        sa.CheckConstraint("status IN ('in_progress', 'completed', 'incomplete')", name=op.f("ck_items_status")),
        _owned_by("conversations", "conversation_id", "fk_items_conversation_id_conversations"),
        sa.ForeignKeyConstraint(["parent_id"], ["items.id"], name="fk_items_parent_id_items"),
        sa.PrimaryKeyConstraint("id", name="pk_items"),
        sa.UniqueConstraint("conversation_id", "position", name="uq_items_conversation_id_position"),
    )
    op.create_index("ix_items_parent_id", "items", ["parent_id"])


def _make_responses() -> None:
    states = "state IN ('queued', 'in_progress', 'completed', 'cancelled', 'incomplete', 'failed')"
    op.create_table(
        "responses",
        _column("id", sa.String()),
        _column("conversation_id", sa.String()),
        _column("previous_response_id", sa.String(), nullable=True),
        _column("output_item_id", sa.String()),
        _column("model", sa.Text()),
        _column("request", _json()),
        _column("state", sa.String()),
        _column("created_at", sa.BigInteger()),
        _column("completed_at", sa.BigInteger(), nullable=True),
        _column("delta_lengths", sa.LargeBinary()),
        _column("incomplete_reason", sa.Text(), nullable=True),
        _column("error_code", sa.Text(), nullable=True),
        _column("error_message", sa.Text(), nullable=True),
        _column("usage", _json(), nullable=True),
        _column("context", _json(), nullable=True),
        sa.CheckConstraint(states, name=op.f("ck_responses_state")),
        _owned_by("conversations", "conversation_id", "fk_responses_conversation_id_conversations"),
        _owned_by("items", "output_item_id", "fk_responses_output_item_id_items"),
        sa.PrimaryKeyConstraint("id", name="pk_responses"),
        sa.UniqueConstraint("output_item_id", name="uq_responses_output_item_id"),
    )
    op.create_index("ix_responses_conversation_id", "responses", ["conversation_id"])
    op.create_index("ix_responses_unfinished", "responses", ["conversation_id"], sqlite_where=UNFINISHED)


def _make_response_inputs() -> None:
    op.create_table(
        "response_inputs",
        _column("response_id", sa.String()),
        _column("ordinal", sa.Integer()),
        _column("item_id", sa.String()),
        _owned_by("items", "item_id", "fk_response_inputs_item_id_items"),
        _owned_by("responses", "response_id", "fk_response_inputs_response_id_responses"),
        sa.PrimaryKeyConstraint("response_id", "ordinal", name="pk_response_inputs"),
    )
    op.create_index("ix_response_inputs_item_id", "response_inputs", ["item_id"])


def _column(name: str, kind: sa.types.TypeEngine[Any], *, nullable: bool = False, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=nullable, **options)


def _json() -> sa.JSON:
    """JSON whose absent value is SQL NULL, never the JSON word null."""
    return sa.JSON(none_as_null=True)


def _owned_by(owner: str, column: str, name: str) -> sa.ForeignKeyConstraint:
    """Rows that go with the row they point to."""
    return sa.ForeignKeyConstraint([column], [f"{owner}.id"], name=name, ondelete="CASCADE")
