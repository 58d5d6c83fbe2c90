"""The deployed graph as ONNX: for TensorRT's own parser, and as a file for other tools."""
