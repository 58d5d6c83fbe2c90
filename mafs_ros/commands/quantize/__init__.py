"""`mafs quantize`: an int8 model, and the check that it may be used."""
