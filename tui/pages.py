"""A page of the server's items, put into a chat that may show some of them already.

Invariant: an item that is shown keeps its message's key, so that its place on the screen and its stream go on.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace
from itertools import takewhile

from chatbot.client import JsonObject, item_text
from tui.safe_text import safe_line, safe_text
from tui.state import Chat, Message, MessageStatus, Versions

ITEM = "msg_"
"""What an item's id begins with; what was typed here goes by the key it was sent with."""


def prepended(chat: Chat, newest_first: list[JsonObject], *, has_more: bool) -> Chat:
    """Put a page of history before what is there already."""
    oldest = newest_first[-1]["id"] if newest_first and has_more else None
    known = {message.key for message in chat.messages}
    known |= {message.response_id for message in chat.messages if message.response_id}
    older = [_message(item, chat.persona) for item in reversed(newest_first) if item["role"] != "system"]
    new = tuple(m for m in older if m.key not in known and m.response_id not in known)
    return replace(chat, messages=new + chat.messages, is_loaded=True, oldest_item=oldest)


def without_oldest(chat: Chat) -> Chat:
    """Leave out the item where history goes on; it goes on at the next one that came from the server."""
    left = tuple(message for message in chat.messages if message.key != chat.oldest_item)
    oldest = next((message.key for message in left if message.key.startswith(ITEM)), None)
    return replace(chat, messages=left, oldest_item=oldest)


def merged(chat: Chat, newest_first: list[JsonObject], *, has_more: bool, stored: Collection[str]) -> Chat:
    """Make a loaded chat what the newest page says: what others said comes in, what they deleted goes.

    `stored` has the keys of the messages that the server had when it was asked. If nothing on the page is known, the
    page is all that is shown.
    """

    def is_kept(message: Message) -> bool:
        return message.key not in stored or message.role == "note" or message.status == "unsent"

    places = _places(chat, newest_first)
    done: list[Message] = []
    new: list[Message] = []
    taken = 0
    for item in reversed(newest_first):
        place = places.get(item["id"])
        if place is None and item["role"] != "system":
            new.append(_message(item, chat.persona))
        elif place is not None and place >= taken:
            before = chat.messages[taken:place]
            is_older = has_more and not taken
            known = _as_stored(chat.messages[place], item)
            done += [*(before if is_older else filter(is_kept, before)), *new, known]
            new, taken = [], place + 1
    left = list(filter(is_kept, chat.messages[taken:]))
    remarks = list(takewhile(lambda message: message.key in stored, left))
    oldest = chat.oldest_item if places else newest_first[-1]["id"] if has_more else None
    return replace(chat, messages=(*done, *remarks, *new, *left[len(remarks) :]), oldest_item=oldest)


def _places(chat: Chat, newest_first: Iterable[JsonObject]) -> dict[str, int]:
    """Where the items that are known stand in a chat. What was said here is known as what its reply answers."""
    known = {message.response_id: place for place, message in enumerate(chat.messages) if message.response_id}
    known |= {message.key: place for place, message in enumerate(chat.messages)}
    asked: dict[str, int] = {}
    places: dict[str, int] = {}
    for item in newest_first:
        place = known.get(item["id"], known.get(item.get("response_id") or ""))
        if place is None and item["role"] == "user":
            place = asked.get(item["id"])
        if place is None:
            continue
        places[item["id"]] = place
        question, is_ours, _ = chat.messages[place].key.rpartition(":reply")
        if is_ours and question in known and item.get("parent_id"):
            asked[item["parent_id"]] = known[question]
    return places


def _as_stored(message: Message, item: JsonObject) -> Message:
    """Return a message that is shown with its id and its versions at the server; the same one where they are known."""
    stored = replace(message, item=item["id"], versions=_versions(item))
    return message if stored == message else stored


def _versions(item: JsonObject) -> Versions | None:
    ids = tuple(item.get("versions") or ())
    return Versions(ids, ids.index(item["id"])) if len(ids) > 1 and item["id"] in ids else None


def _message(item: JsonObject, persona: str | None) -> Message:
    text = safe_text(item_text(item))
    if item["role"] == "user":
        return Message(item["id"], "user", text, item=item["id"], versions=_versions(item))
    stored: dict[str, MessageStatus] = {"in_progress": "streaming", "incomplete": "interrupted"}
    status = stored.get(item.get("status") or "", "completed")
    persona = safe_line(item.get("model") or "") or persona
    said = Message(item["id"], "assistant", text, status, persona, item.get("response_id"))
    return replace(said, item=item["id"], versions=_versions(item))
