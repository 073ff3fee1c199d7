"""Which way a message goes: pure, and compiled once from the checked routes."""
