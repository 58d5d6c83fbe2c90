"""`mafs view`: the topics in a browser."""
