"""The network in OpenVINO."""
