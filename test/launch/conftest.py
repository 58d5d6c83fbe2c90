"""ROS' launch, as far as the stand-ins have it."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
from launch_stand_ins import STAND_INS


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, members in STAND_INS.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
