"""
Packages of layers: zip files, unpacked once by what they hold.

A file that would leave its folder, a link and a package over AWS's limit are refused before
anything is written. An unpacked package is never changed.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import shutil
import stat
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from tablecast.local.api.refusal import invalid_parameter

UNZIPPED_BYTES_MAX: Final = 262_144_000

_COPY_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class LayerPackage:
    """
    An unpacked package.

    Args:
        code_sha256: SHA-256 of the zip file in base64.
        code_size: Size of the zip file, in bytes.
        folder: Where it is unpacked.
        archive: The zip file.
    """

    code_sha256: str
    code_size: int
    folder: Path
    archive: Path


def unpack(data: bytes, root: Path) -> LayerPackage:
    """
    Unpack a zip file below *root*, unless it is there already.

    Raises:
        ApiError: It is no zip file, or one that is not safe to unpack.
        OSError: It cannot be written.
    """
    digest = hashlib.sha256(data)
    folder = root / digest.hexdigest()
    package = LayerPackage(
        base64.b64encode(digest.digest()).decode(),
        len(data),
        folder / "content",
        folder / "layer.zip",
    )
    if folder.is_dir():
        return package
    root.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=root, prefix=".draft-"))
    try:
        (draft / "layer.zip").write_bytes(data)
        _extract(data, draft / "content")
        try:
            draft.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return package


def _extract(data: bytes, folder: Path) -> None:
    folder.mkdir()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            _check(members)
            room = UNZIPPED_BYTES_MAX
            for member in members:
                path = folder / member.filename
                if member.is_dir():
                    path.mkdir(parents=True, exist_ok=True)
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, path.open("wb") as copy:
                    while chunk := source.read(_COPY_BYTES):
                        room -= len(chunk)
                        if room < 0:
                            raise _too_large()
                        copy.write(chunk)
                if (member.external_attr >> 16) & stat.S_IXUSR:
                    os.chmod(path, 0o755)  # noqa: S103, PTH101 - as the package says
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise _not_a_zip() from error


def _check(members: list[zipfile.ZipInfo]) -> None:
    if not members:
        raise _not_a_zip()
    if sum(member.file_size for member in members) > UNZIPPED_BYTES_MAX:
        raise _too_large()
    for member in members:
        path = PurePosixPath(member.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or stat.S_ISLNK(member.external_attr >> 16):
            raise _not_a_zip()


def _not_a_zip() -> Exception:
    return invalid_parameter(
        "Could not unzip uploaded file. Please check your file, then try to upload again."
    )


def _too_large() -> Exception:
    return invalid_parameter(f"Unzipped size must be smaller than {UNZIPPED_BYTES_MAX} bytes")
