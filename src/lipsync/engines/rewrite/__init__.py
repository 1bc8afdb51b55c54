"""The built-in engine: re-animates the video's own pixels, without downloaded weights."""
