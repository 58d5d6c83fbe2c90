"""Cameras that are not there: simulated, from folders or from a bag, published in time."""
