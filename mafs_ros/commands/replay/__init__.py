"""`mafs replay`: a bag through the node's own steps, with scores and a report."""
