"""A drive through the simulated street, or through given images, with pictures and figures."""
