"""The smallest service: it counts payments per account. docs/adding.md shows it."""
