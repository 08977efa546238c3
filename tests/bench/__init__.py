"""`make bench`: what Coffer does per second, beside floors that do the same work with no logic."""
