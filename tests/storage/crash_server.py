"""A process that writes turns as fast as it can and prints each acknowledgement, until test_crash kills it."""

import asyncio
import sys
from pathlib import Path

from storage import Store
from storage.records import NewItem, NewTurn

CLIENTS = 8
CONVERSATIONS = 3


async def talk(store: Store, conversation_id: str, prefix: str) -> None:
    number = 0
    while True:
        name = f"{prefix}_{number}"
        number += 1
        turn = NewTurn(
            response_id=f"resp_{name}",
            output_item_id=f"reply_{name}",
            conversation_id=conversation_id,
            previous_response_id=None,
            inputs=(NewItem(f"ask_{name}", "user", name),),
            model="m",
            request={},
            idempotency_key=name,
            body_sha256="body",
        )
        await store.begin_turn(turn)
        print("begun", name, flush=True)
        await store.start_response(turn.response_id, {})
        await store.checkpoint(turn.response_id, "so far", [6])
        print("checkpointed", name, flush=True)
        await store.finish_response(turn.response_id, "completed", "so far so good", [6, 8])
        print("completed", name, flush=True)


async def main(path: str, cycle: str) -> None:
    store = await Store.open(Path(path))
    await store.interrupt_unfinished()
    known = {conversation.id for conversation in await store.conversations()}
    for number in range(CONVERSATIONS):
        if f"conv_{number}" not in known:
            await store.create_conversation(f"conv_{number}")
    talks = (talk(store, f"conv_{client % CONVERSATIONS}", f"{cycle}_{client}") for client in range(CLIENTS))
    await asyncio.gather(*talks)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
