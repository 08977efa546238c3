"""The rules of notify: no clock, no randomness, no I/O."""
