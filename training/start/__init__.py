"""What a training starts from."""
