"""`mafs benchmark`: how fast the network and the node are on this machine."""
