"""The registry of adapters: one row for each version of each persona."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select, tuple_

from storage import rows
from storage.records import AdapterRecord
from storage.schema import adapters


def register(db: Connection, records: Sequence[AdapterRecord]) -> None:
    """Insert the versions, replacing those that are known by name and number."""
    if not records:
        return
    names = [(record.name, record.version) for record in records]
    db.execute(delete(adapters).where(tuple_(adapters.c.name, adapters.c.version).in_(names)))
    newest = {(record.name, record.version): record for record in records}
    values = [
        {
            "name": record.name,
            "version": record.version,
            "digest": record.digest,
            "base_digest": record.base_digest,
            "path": record.path,
            "card": dict(record.card),
        }
        for record in newest.values()
    ]
    db.execute(insert(adapters), values)


def registered(db: Connection) -> list[AdapterRecord]:
    """Every version, by name and number."""
    found = db.execute(select(adapters).order_by(adapters.c.name, adapters.c.version))
    return [rows.adapter(row) for row in found]
