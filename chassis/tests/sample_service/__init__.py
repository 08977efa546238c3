"""The smallest service: it counts payments per account. docs/adding-a-service.md shows it."""
