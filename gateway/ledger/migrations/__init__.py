"""Changes of the ledger's tables, in order; applied when the ledger is opened."""
