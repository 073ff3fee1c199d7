"""What becomes of a journaling once it is translated: written down, sent, held, followed to the record, cleared away."""
