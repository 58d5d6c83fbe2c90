"""From a pair of images to the fused image and the labels."""
