"""Checks of an installation, and of the transparency of the legacy lane."""
