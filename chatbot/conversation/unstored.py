"""Deletes replies that are not to be stored, however long the disk is full."""

import structlog

from storage.errors import NotFound, StorageBusy, StorageError, StorageFull
from storage.store import Store

logger = structlog.get_logger(__name__)


async def try_to_delete(store: Store, response_id: str) -> bool:
    """Delete the response; False if that should be tried again."""
    try:
        await store.delete_response(response_id, erases="soon")
    except (StorageFull, StorageBusy):
        return False
    except NotFound:
        return True
    except StorageError as error:  # the server's next start deletes it
        logger.error("reply not deleted", response_id=response_id, fault=type(error).__name__)
    return True
