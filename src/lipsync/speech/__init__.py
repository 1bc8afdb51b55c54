"""From speech to mouth motion: features, the motion network and its basis, and the detection of silence."""
