"""What can go wrong for a client, as one tree.

ChatbotError
├── ClientClosed           the client was closed before or meanwhile
├── ServerUnreachable      nobody answered within the client's patience
├── RequestRejected        the server said no
│   ├── AccessDenied       401, 403: the API key is missing or wrong
│   └── NotFound           404: no such conversation, item or response
└── ReplyFailed            the turn was accepted, then the engine failed
"""

from collections.abc import Mapping
from typing import Any


class ChatbotError(Exception):
    """Anything this client raises on purpose."""


class ClientClosed(ChatbotError):
    """The client was closed: nothing goes through it any more."""

    def __init__(self) -> None:
        super().__init__("this client was closed; make another one")


class ServerUnreachable(ChatbotError):
    """No server answered at the address within the client's patience."""


class RequestRejected(ChatbotError):
    """The server understood and refused; `message` is its sentence for people."""

    def __init__(self, message: str, *, code: str = "", status: int = 0, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.param = param


class AccessDenied(RequestRejected):
    """The API key is missing or wrong."""


class NotFound(RequestRejected):
    """The conversation, item or response does not exist."""


class ReplyFailed(ChatbotError):
    """The turn was stored, but no reply could be made."""

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


# Any: error objects come from any server that speaks the protocol.
def rejection(status: int, error: Mapping[str, Any]) -> RequestRejected:
    """Turn a server's error object into the exception that fits its status."""
    kind = {401: AccessDenied, 403: AccessDenied, 404: NotFound}.get(status, RequestRejected)
    message = str(error.get("message") or f"the server answered with status {status}")
    return kind(message, code=str(error.get("code") or ""), status=status, param=error.get("param"))
