"""Tasks of the service: what one is, and the store that never loses one."""
