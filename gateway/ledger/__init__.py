"""Durable state: messages, what their senders were told, what people set and did. Every table and statement is here.

Others use:

- `database.Database`, `database.open_store`, `file_lock.FileLock`: one writer, and who has a SQLite file;
- `prepared`, `upserts`: statements that run often, and inserts that meet a row;
- `messages.Ledger`, `records.MessageState`, `returns.Returns`, `shares`: messages from their arrival to the record, and back to VKP;
- `message_queries`, `message_actions`, `decision_log`, `rehearsals`, `comparisons`, `traffic`, `findings`: what people see of them, and do;
- `overrides.SetRule`, `layers.layers_of`, `cutovers`: what is set over the routes;
- `nodes`: which processes share the ledger, and the heartbeat by which each says so;
- `learnt_numbers.LearntNumbers`: national numbers by those of record systems;
- `restore`: a database that was restored from a copy;
- `audit.Note`, `idempotency.Claim`, `retention`: who did what, once, and for how long it is kept;
- `key_files.Keys`, `crypto.PayloadCipher`, `canary_key`, `known_keys`, `tables`: the keys, what they seal and hash, and the tables for tests and migrations.
"""
