"""Tokens and DPoP proofs of HelseID: those of senders, and our own."""
