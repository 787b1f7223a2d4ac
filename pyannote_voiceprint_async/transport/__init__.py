"""One request, repeated only where that is safe."""
