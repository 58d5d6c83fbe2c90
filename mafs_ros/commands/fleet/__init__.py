"""`mafs fleet`: many recorded drives, on the cores of this machine or on Ray, and one report."""
