"""Idempotency keys as hashes, and the hashes of their requests made with them: see storage/sealed_keys.py."""

import hashlib
import hmac

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_before = sa.table("idempotency_keys", *map(sa.column, ("key", "body_sha256", "response_id", "created_at")))
_after = sa.table("idempotency_keys", *map(sa.column, ("key_sha256", "sealed_body", "response_id", "created_at")))


def upgrade() -> None:
    db = op.get_bind()
    rows = [_sealed(**row) for row in db.execute(sa.select(_before)).mappings()]
    db.execute(sa.delete(_before))  # all at once: somebody's key may be the hash of another's
    op.execute("ALTER TABLE idempotency_keys RENAME COLUMN key TO key_sha256")
    op.execute("ALTER TABLE idempotency_keys RENAME COLUMN body_sha256 TO sealed_body")
    if rows:
        db.execute(sa.insert(_after), rows)


def _sealed(key: str, body_sha256: str, response_id: str, created_at: int) -> dict[str, object]:
    return {
        "key_sha256": hashlib.sha256(key.encode()).hexdigest(),
        "sealed_body": hmac.new(key.encode(), body_sha256.encode(), hashlib.sha256).hexdigest(),
        "response_id": response_id,
        "created_at": created_at,
    }
