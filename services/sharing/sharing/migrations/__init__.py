"""The schema, one migration per change."""
