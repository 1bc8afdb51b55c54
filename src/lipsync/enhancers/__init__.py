"""The enhancers by name. A factory imports its enhancer only when it is asked for."""
