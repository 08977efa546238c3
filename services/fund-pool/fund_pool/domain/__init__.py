"""The rules of the fund pool, pure: no clock, no I/O, no framework."""
