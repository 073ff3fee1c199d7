"""Who calls, and who we are.

- `helseid`: senders' tokens and DPoP proofs, and the gateway's own;
- `people`: people and programs at the admin port.
"""
