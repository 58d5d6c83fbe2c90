"""`mafs calibrate`: the registration of two cameras from a drive, or by a board."""
