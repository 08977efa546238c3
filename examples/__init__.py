"""A day of an order system, and how an outsider publishes an order."""
