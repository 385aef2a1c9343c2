"""Alembic revisions of the schema, applied by storage.upgrade when a store opens."""
