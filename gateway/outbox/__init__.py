"""Delivery of journaling messages: submit, hold, dispatch, track, return; nothing lost, nothing twice."""
