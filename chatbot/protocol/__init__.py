"""The wire: Open Responses events, items and errors as plain data. No socket, no database, no torch."""
