"""All SQL of the service, set-based, by what it is about."""
