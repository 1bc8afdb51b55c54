"""Workers: claim tasks, execute them, publish their results."""
