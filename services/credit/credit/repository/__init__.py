"""All SQL of credit, set-based; each function is named after what it returns or saves."""
