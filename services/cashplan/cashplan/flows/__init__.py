"""Load, decide, save, emit: what handlers, timers and routes have in common."""
