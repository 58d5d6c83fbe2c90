"""What the engines on an NVIDIA GPU share: does it compute, is it lost, frames as one launch."""
