"""One message's way: identify, decide, authorize, then a lane."""
