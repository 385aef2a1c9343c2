"""Everything storage raises on purpose.

Errors::

    StorageError
    ├── NotFound
    │   ├── ConversationNotFound
    │   ├── ItemNotFound
    │   │   └── ParentItemNotFound        the one that a turn is to continue
    │   └── ResponseNotFound
    │       └── PreviousResponseNotFound  the one that a turn is to continue
    ├── Conflict
    │   ├── AlreadyExists          an id that is taken
    │   ├── IdempotencyKeyReused   a known key came with another body
    │   ├── ResponseStateConflict  a step that the response's state does not allow
    │   └── ContextOutdated        an item that the context shows was deleted since
    ├── Refused                    the database cannot be opened; nothing was changed
    │   ├── StorageLocked          another server has it
    │   ├── StorageReadOnly        file or folder cannot be written
    │   ├── StorageNewer           written by a newer version of this program
    │   ├── StorageForeign         the file is something else
    │   └── MigrationFailed        an upgrade did not keep every row; rolled back
    ├── StorageFull                disk full; reads go on, writes work again once there is room
    ├── StorageBusy                another process holds the database; try again
    ├── StorageClosed              used after close
    └── StorageBroken              fatal: nothing more is acknowledged; restart the server

Messages name ids and codes, never what people wrote.
"""


class StorageError(Exception):
    """Base of everything storage raises on purpose."""


class NotFound(StorageError):
    """A row that was asked for by id does not exist."""


class ConversationNotFound(NotFound):
    pass


class ItemNotFound(NotFound):
    pass


class ParentItemNotFound(ItemNotFound):
    pass


class ResponseNotFound(NotFound):
    pass


class PreviousResponseNotFound(ResponseNotFound):
    pass


class Conflict(StorageError):
    """The request is well formed, but what is stored contradicts it."""


class AlreadyExists(Conflict):
    pass


class IdempotencyKeyReused(Conflict):
    pass


class ResponseStateConflict(Conflict):
    pass


class ContextOutdated(Conflict):
    pass


class Refused(StorageError):
    """The database could not be opened, and nothing in it was changed."""


class StorageLocked(Refused):
    def __init__(self, message: str, holder: int | None = None) -> None:
        super().__init__(message)
        self.holder = holder
        """Process that has the database, if it is known."""


class StorageReadOnly(Refused):
    pass


class StorageNewer(Refused):
    pass


class StorageForeign(Refused):
    pass


class MigrationFailed(Refused):
    pass


class StorageFull(StorageError):
    pass


class StorageBusy(StorageError):
    pass


class StorageClosed(StorageError):
    pass


class StorageBroken(StorageError):
    pass
