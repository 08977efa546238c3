"""sharing owns relationships: who manages whom, and what the member has allowed."""
