"""The part of the service that does the tasks."""
