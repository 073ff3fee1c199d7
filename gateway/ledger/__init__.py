"""Durable state: messages that were promised, receipts, what is followed to the record, audit."""
