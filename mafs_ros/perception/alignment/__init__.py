"""How the edges of a thermal and an RGB image lie against each other."""
