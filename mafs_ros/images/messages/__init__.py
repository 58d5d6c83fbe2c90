"""Image messages to arrays and back, and their bytes on the wire."""
