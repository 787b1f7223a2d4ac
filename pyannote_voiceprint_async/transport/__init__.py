"""Send one API request, wait for its permit, and retry it where that is safe."""
