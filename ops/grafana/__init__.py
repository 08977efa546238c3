"""Dashboards, generated so that all services have the same one."""
