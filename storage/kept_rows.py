"""Proof that a migration lost nothing: rows of each table and a hash of all messages, before and after.

A table that the newest schema does not have was dropped on purpose, with its rows.
"""

import hashlib
from dataclasses import dataclass

from sqlalchemy import Connection, func, inspect, select, table, text

from storage.errors import MigrationFailed
from storage.schema import metadata


@dataclass(frozen=True, slots=True)
class KeptRows:
    counts: dict[str, int]
    text_sha256: str

    @classmethod
    def measure(cls, db: Connection) -> "KeptRows":
        names = [name for name in inspect(db).get_table_names() if name in metadata.tables]
        counts = {name: db.execute(select(func.count()).select_from(table(name))).scalar_one() for name in names}
        return cls(counts, _hash_of_texts(db) if "items" in names else "")

    def require_same(self, after: "KeptRows") -> None:
        """Raise MigrationFailed if any table lost or gained rows, or any message changed."""
        for name, count in self.counts.items():
            found = after.counts.get(name, 0)
            if found != count:
                raise MigrationFailed(
                    f"table {name}: expected {count} rows after the upgrade, but found {found};"
                    " it was rolled back, nothing was changed"
                )
        if self.text_sha256 and after.text_sha256 != self.text_sha256:
            raise MigrationFailed(
                "expected every message unchanged after the upgrade; it was rolled back, nothing was changed"
            )


def _hash_of_texts(db: Connection) -> str:
    digest = hashlib.sha256()
    for item_id, content in db.execute(text("SELECT id, text FROM items ORDER BY id")):
        digest.update(f"{len(item_id)}:{item_id}{len(content)}:{content}".encode())
    return digest.hexdigest()


def require_sound_references(db: Connection) -> None:
    """Raise MigrationFailed if a row points to one that is not there."""
    broken = db.exec_driver_sql("PRAGMA foreign_key_check").all()
    if broken:
        raise MigrationFailed(
            f"table {broken[0][0]}: expected sound references after the upgrade, but {len(broken)} rows"
            " point to missing ones; it was rolled back, nothing was changed"
        )
