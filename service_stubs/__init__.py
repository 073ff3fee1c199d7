"""Runnable doubles of JFT and HelseID, stricter than the gateway and never looser; they import nothing of it."""
