"""Alembic's entry: the chassis runs the migrations on its own connection."""

from chassis.migrations import run_environment

run_environment()
