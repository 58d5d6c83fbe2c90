"""Files are written whole or not at all; output folders are made or refused."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def prepare_output_folder(folder: Path | str) -> Path:
    """Make a folder and check that files can be written in it, before any work is done.

    Raises OSError with the reason where it is a file, cannot be made or cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except FileExistsError:
        raise NotADirectoryError(f"{folder}: is a file, expected an output folder") from None
    except OSError as error:
        raise OSError(f"{folder}: cannot write into this folder: {error.strerror}") from error
    return folder


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file to write into, which takes the place of `path` at the end; gone after an error."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write a file wholly or not at all; raises OSError with path and reason."""
    path = Path(path)
    try:
        with whole(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise OSError(f"{path}: cannot be written: {error.strerror}") from error
