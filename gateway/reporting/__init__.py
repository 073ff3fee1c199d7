"""How far the migration has come, cell by cell."""
