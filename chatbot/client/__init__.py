"""The async client: connect, send, stream, resume. Imports neither torch nor a server.

async with Client("http://127.0.0.1:8765") as client:
    reply = await client.send("Ahoy!")
    async for text in reply.text_stream():
        print(text, end="")
"""

from chatbot.client.client import Client
from chatbot.client.connection import Backoff, ConnectionState
from chatbot.client.errors import (
    AccessDenied,
    ChatbotError,
    ClientClosed,
    NotFound,
    ReplyFailed,
    RequestRejected,
    ServerUnreachable,
)
from chatbot.client.http_api import Page
from chatbot.client.reply import TERMINAL_EVENTS, Event, JsonObject, Reply, item_text, response_text

__all__ = [
    "TERMINAL_EVENTS",
    "AccessDenied",
    "Backoff",
    "ChatbotError",
    "Client",
    "ClientClosed",
    "ConnectionState",
    "Event",
    "JsonObject",
    "NotFound",
    "Page",
    "Reply",
    "ReplyFailed",
    "RequestRejected",
    "ServerUnreachable",
    "item_text",
    "response_text",
]
