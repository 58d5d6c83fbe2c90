"""`mafs calibrate`: the registration of two cameras from a drive."""
