"""The admin port: who may ask for what, one module per subject for its API, and `pages` for people.

Others use:

- `server.AdminPort`: the port, with all its endpoints; `status.Reload`: what became of a reload; `health.NodeState`: what runs;
- `rollback.CONFIRMATION`, `rollback_documents.csv_of`, `report.COLUMNS`, `csv.table_of`: for commands that show what the API
  answers. They are no part of this file, so that a command imports what it uses and nothing else.
"""
