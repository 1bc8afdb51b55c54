"""The task store of the service: tables, state transitions, claims, queries."""
