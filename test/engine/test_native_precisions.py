"""Which precisions a processor has of its own."""

from __future__ import annotations

import pytest

from mafs_ros.engine.openvino.precision import native_precisions


def test_native_precisions_need_the_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    class Core:
        def __init__(self, *capabilities: str) -> None:
            self.capabilities = capabilities

        def get_property(self, device: str, name: str) -> tuple[str, ...]:
            return self.capabilities

    flags = "mafs_ros.engine.openvino.precision.cpu_flags"
    monkeypatch.setattr(flags, lambda: {"avx2", "avx_vnni"})
    assert native_precisions(Core("FP32", "INT8", "BIN")) == ["fp32", "int8"]
    monkeypatch.setattr(flags, lambda: {"avx2"})
    assert native_precisions(Core("FP32", "INT8", "BF16")) == ["fp32", "bf16"]
