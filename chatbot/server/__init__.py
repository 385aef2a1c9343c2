"""The edge: HTTP and WebSockets in, conversation in the middle."""
