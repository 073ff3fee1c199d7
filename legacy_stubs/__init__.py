"""Runnable doubles of legacy VKP; they import nothing of the gateway."""
