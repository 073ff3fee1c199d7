"""The local copy of what information services have of patients: one node fills it, and all nodes answer from it.

Its tables are in `gateway.ledger.tables`; nothing of a patient is readable there but in what is sealed.

Others use:

- `worker.Replica`, `worker.rebuild`: fills the copies of one process; has one made anew;
- `status.copies`: how far each copy is;
- `patient_source.answers_of`, `patient_source.CopyAnswers`: answers about patients and services, and national numbers by local ones.
"""
