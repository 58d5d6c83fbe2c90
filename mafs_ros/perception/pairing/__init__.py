"""Which RGB and which thermal message make a pair, and which pair is worked on."""
