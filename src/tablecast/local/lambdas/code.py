"""
Deployment packages: zip files, uploaded or from S3, unpacked once by what they hold; or a folder.

`Code={"S3Bucket": "tablecast-local", "S3Key": "/absolute/folder"}` runs a function from that folder
itself: what is changed there is what runs after the next UpdateFunctionCode. AWS has no such thing.
A package in the body of a request is limited by its own size, one in S3 only by what it unpacks to.

Source:
    Lambda API Reference, CreateFunction; AWS-validated recordings of public test suites
    (checked 2026-11-23).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from tablecast.errors import AwsError
from tablecast.local.api.call import Call
from tablecast.local.api.refusal import ApiError, invalid_parameter
from tablecast.local.lambdas.layer_package import unpack
from tablecast.local.lambdas.ports import Clients

LOCAL_BUCKET: Final = "tablecast-local"
ZIP_FILE_BYTES_MAX: Final = 52_428_800

_TOO_LARGE: Final = 413
_EMPTY_ZIP_FILE: Final = b"PK\x05\x06"  # the end of a directory that nothing precedes

_LEFT_OUT: Final = frozenset({".git", ".venv", "__pycache__", "node_modules"})
_RETRIES: Final = 2
_ELSEWHERE: Final = ("S3Bucket", "S3Key", "S3ObjectVersion")


@dataclass(frozen=True, slots=True)
class Code:
    """
    Code of a function.

    Args:
        sha256: CodeSha256.
        size: CodeSize, in bytes.
        folder: Where it is unpacked, or where it lives.
        archive: The zip file; empty for a folder.
    """

    sha256: str
    size: int
    folder: str
    archive: str = ""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the code that `to_dict` told."""
        return cls(**data)

    @classmethod
    def of_declaration(cls, folder: Path) -> Self:
        """Return the code of a declared function: a project's folder, which is not looked into."""
        digest = hashlib.sha256(str(folder).encode("utf-8", "surrogateescape")).digest()
        return cls(base64.b64encode(digest).decode(), 0, str(folder))

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return asdict(self)

    @property
    def hex_digest(self) -> str:
        """CodeSha256 in hexadecimal digits, for URLs."""
        return base64.b64decode(self.sha256).hex()

    def zipped(self) -> bytes:
        """Return the zip file; of a folder as it is now."""
        return Path(self.archive).read_bytes() if self.archive else _zip_folder(Path(self.folder))


class CodeStore:
    """
    Keeps packages.

    Args:
        folder: Where they are unpacked.
        clients: Clients of the data services, for packages in S3.
    """

    def __init__(self, folder: Path, clients: Clients) -> None:
        self._folder = folder
        self._clients = clients

    async def take(self, call: Call, code: Mapping[str, Any]) -> Code:
        """
        Return the code that a request carries or names.

        Args:
            call: Where it was asked.
            code: `Code` of CreateFunction, or the parameters of UpdateFunctionCode.
        Raises:
            ApiError: There is none, or it is no zip file.
        """
        if code.get("ImageUri"):
            raise invalid_parameter(
                "Container images are not run here. Use a function of package type Zip."
            )
        data = code.get("ZipFile")
        if data is not None:
            if any(code.get(name) for name in _ELSEWHERE):
                raise invalid_parameter(
                    "Please do not provide other FunctionCode parameters when providing a ZipFile."
                )
            if len(data) > ZIP_FILE_BYTES_MAX:
                raise ApiError(
                    "RequestEntityTooLargeException",
                    f"Zipped size must be smaller than {ZIP_FILE_BYTES_MAX} bytes",
                    status=_TOO_LARGE,
                )
            return await asyncio.to_thread(self._unpacked, data)
        bucket, key = code.get("S3Bucket"), code.get("S3Key")
        if not bucket or not key:
            raise invalid_parameter("Please provide a source for function code.")
        if bucket == LOCAL_BUCKET:
            return await asyncio.to_thread(self.of_folder, Path(key))
        try:
            data = await self._clients(call.region).get_object(
                bucket, key, version_id=code.get("S3ObjectVersion"), retries=_RETRIES
            )
        except AwsError as error:
            raise invalid_parameter(
                f"Error occurred while GetObject. S3 Error Code: {error.code}. S3 Error Message: "
                f"{error.message}"
            ) from error
        return await asyncio.to_thread(self._unpacked, data)

    def of_folder(self, folder: Path) -> Code:
        """
        Return the code that lives in *folder*.

        Raises:
            ApiError: It is no folder.
        """
        if not folder.is_absolute() or not folder.is_dir():
            raise invalid_parameter(
                f"S3Key must be an absolute path of a folder when S3Bucket is {LOCAL_BUCKET}, "
                f"but it is {folder}"
            )
        digest, size = hashlib.sha256(), 0
        for path in _files(folder):
            state = path.stat()
            size += state.st_size
            told = f"{path.relative_to(folder)}\n{state.st_size}\n{state.st_mtime_ns}\n"
            digest.update(told.encode("utf-8", "surrogateescape"))
        return Code(base64.b64encode(digest.digest()).decode(), size, str(folder))

    def _unpacked(self, data: bytes) -> Code:
        if not data or data.startswith(_EMPTY_ZIP_FILE):
            raise invalid_parameter("Uploaded file must be a non-empty zip")
        package = unpack(data, self._folder)
        return Code(
            package.code_sha256, package.code_size, str(package.folder), str(package.archive)
        )


def _zip_folder(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in _files(folder):
            archive.write(path, path.relative_to(folder))
    return buffer.getvalue()


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files of a package in order, without what never belongs into one."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT)
        yield from (Path(parent, name) for name in sorted(files))
