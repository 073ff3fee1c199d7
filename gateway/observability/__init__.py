"""Logs, metrics and masking."""
