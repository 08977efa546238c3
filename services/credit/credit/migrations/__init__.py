"""The database of credit, step by step."""
