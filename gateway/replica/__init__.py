"""The local copy of what information services have of patients: one node fills it, and all nodes answer from it.

Its tables are in `gateway.ledger.tables`; nothing of a patient is readable there but in what is sealed.

Others use:

- `worker.Replica`: fills the copies of one process.
"""
