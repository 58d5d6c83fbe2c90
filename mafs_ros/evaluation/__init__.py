"""How good fused images and labels are."""
