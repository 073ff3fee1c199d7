"""Checks of an installation: files, keys, servers, machine."""
