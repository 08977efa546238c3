"""Runs notify: `python -m notify serve`."""

from notify.app import service

service.main()
