"""Self-tests that an operator or CI runs against a gateway process of their own making."""
