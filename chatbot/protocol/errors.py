"""Errors that cross the wire. Every one has a status, a type and a stable code; the message says what to do.

::

    ProtocolError
    ├── InvalidRequest     400  the request cannot be understood
    ├── Unauthorized       401  no key, or a wrong one
    ├── Forbidden          403  an origin that is not on the list
    ├── NotFound           404  an id or name that does not exist
    ├── Conflict           409  the request is fine, but not now or not again
    ├── TooLarge           413  a frame or body over the limit
    ├── Overloaded         429  the queue is full; try again later
    ├── ServerFault        500  our fault
    └── Unavailable        503  the server is stopping, or its disk is full
"""

from typing import Any


class ProtocolError(Exception):
    """An error with everything a client needs to act on it."""

    status = 400
    type = "invalid_request_error"

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param

    def body(self) -> dict[str, Any]:
        """Return the `error` object that HTTP bodies and `error` events carry."""
        return {"type": self.type, "code": self.code, "message": self.message, "param": self.param}

    def event(self, event_id: str | None = None, stream_id: str | None = None) -> dict[str, Any]:
        """Return the WebSocket event, with the ids that the client gave to the frame at fault."""
        event: dict[str, Any] = {"type": "error", "status": self.status, "error": self.body()}
        if event_id is not None:
            event["event_id"] = event_id
        if stream_id is not None:
            event["stream_id"] = stream_id
        return event


class InvalidRequest(ProtocolError):
    pass


class Unauthorized(ProtocolError):
    status = 401
    type = "authentication_error"


class Forbidden(ProtocolError):
    status = 403
    type = "permission_error"


class NotFound(ProtocolError):
    status = 404


class Conflict(ProtocolError):
    status = 409


class TooLarge(ProtocolError):
    status = 413


class Overloaded(ProtocolError):
    status = 429
    type = "rate_limit_error"


class ServerFault(ProtocolError):
    status = 500
    type = "server_error"


class Unavailable(ProtocolError):
    status = 503
    type = "server_error"
