"""Running Coffer: setup, the local stack, topics, checks and operators' tools."""
