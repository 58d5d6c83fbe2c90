"""How well one segmenter does on each kind of image."""
