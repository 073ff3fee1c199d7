"""The interfaces as senders know them: how each reads a request and writes an answer."""
