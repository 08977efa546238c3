"""The stack without Docker: a broker, a database, a mail server, an SMS gateway and the services."""
