"""The deployed graph on an NVIDIA GPU through TensorRT."""
