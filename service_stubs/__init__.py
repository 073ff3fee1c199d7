"""Runnable doubles of HelseID and NHN's services, stricter than the gateway and never looser; they import nothing of it."""
