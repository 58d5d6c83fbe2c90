"""What the bytes of an image say before they are decoded, and how they are decoded."""
