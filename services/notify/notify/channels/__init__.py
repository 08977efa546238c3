"""Channels: how a delivery reaches a provider."""
