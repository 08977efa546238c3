"""The database's steps, run by the owner role."""
