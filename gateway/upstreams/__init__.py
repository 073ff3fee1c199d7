"""Clients of the servers that answer: one module for each kind."""
