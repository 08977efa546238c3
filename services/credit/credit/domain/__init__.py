"""The rules of credit: pure decisions over loaded state; no clock, no database, no framework."""
