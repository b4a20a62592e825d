"""
What `tablecast dev` runs: the template that `tablecast deploy` would deploy.

The template of a declaration that was synthesized before is taken from the data folder; a process
that has the construct library loaded makes those of later saves in a moment. Where the extra `cdk`
is not installed, or is not wanted, the same resources come from the declaration itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tablecast.cli.declaration import Declared
from tablecast.cli.local_app import for_this_machine, local_app
from tablecast.cli.output import Output
from tablecast.errors import LocalRuntimeError, MissingExtraError
from tablecast.local.model import AppSpec
from tablecast.local.template.app_spec import to_app_spec
from tablecast.local.template.reading import read_stacks

_ANSWER_BYTES_MAX: Final = 1_048_576
_END_SECONDS: Final = 5.0
_NOTE: Final = """\
The code of the functions is not here: `tablecast dev` runs it from your folder.
Deploy with `tablecast deploy`, which synthesizes with the code.
"""


def can_synthesize() -> bool:
    """Return whether the extra `cdk` is installed."""
    return importlib.util.find_spec("aws_cdk") is not None


class DevApps:
    """
    The application of each version of a declaration.

    Args:
        folder: Where templates are kept; made when it is not there.
        output: Told what takes long.
        synthesizes: Make templates; None for whether that can be done.

    Raises:
        MissingExtraError: Templates are asked for, and the extra `cdk` is not installed.
    """

    def __init__(self, folder: Path, output: Output, *, synthesizes: bool | None = None) -> None:
        if synthesizes and not can_synthesize():
            raise MissingExtraError("tablecast dev --synth", extra="cdk", module="aws_cdk")
        self.synthesizes = can_synthesize() if synthesizes is None else synthesizes
        self._folder = folder.absolute()
        self._output = output
        self._worker: asyncio.subprocess.Process | None = None
        self._busy = asyncio.Lock()
        self._warming: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process, at once."""
        if self._warming is not None:
            self._warming.cancel()
            with suppress(asyncio.CancelledError):
                await self._warming
        worker, self._worker = self._worker, None
        if worker is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)  # With the Node that it started.
        with suppress(TimeoutError):
            await asyncio.wait_for(worker.wait(), _END_SECONDS)

    async def app(self, declared: Declared) -> AppSpec:
        """
        Return what runs for a declaration.

        Raises:
            LocalRuntimeError: It cannot be synthesized; the text says why.
        """
        if not self.synthesizes:
            return local_app(declared)
        assembly = await self._assembly(declared)
        (stack,) = read_stacks(assembly)
        return for_this_machine(to_app_spec(stack, code_dir=declared.code_dir), declared)

    def warm_up(self, declared: Declared) -> None:
        """Load the construct library meanwhile, so that no save has to wait for it."""
        if self.synthesizes:
            self._warming = asyncio.create_task(self._warm_up(declared))

    async def _warm_up(self, declared: Declared) -> None:
        scratch = self._folder / "cdk.out.warm"
        async with self._busy:
            # What fails here fails for somebody who asks, and is told then.
            with suppress(LocalRuntimeError):
                await self._ask(declared, scratch)
        shutil.rmtree(scratch, ignore_errors=True)

    async def _assembly(self, declared: Declared) -> Path:
        assembly, mark = self._folder / "cdk.out", self._folder / "declaration"
        key = _key(declared)
        if (assembly / "manifest.json").is_file() and _text(mark) == key:
            return assembly
        async with self._busy:
            if self._worker is None:
                self._output.say("synthesizing the stack; the first time takes some seconds ...")
            mark.unlink(missing_ok=True)
            draft = self._folder / "cdk.out.new"
            await self._ask(declared, draft)
            shutil.rmtree(assembly, ignore_errors=True)
            draft.rename(assembly)
            mark.write_text(key, encoding="utf-8")
        return assembly

    async def _ask(self, declared: Declared, output: Path) -> None:
        """Have the cloud assembly of a declaration written to a folder."""
        code = self._folder / "code"
        code.mkdir(parents=True, exist_ok=True)
        (code / "README.txt").write_text(_NOTE, encoding="utf-8")
        shutil.rmtree(output, ignore_errors=True)
        request = {
            "pipeline": declared.pipeline.to_dict(),
            "module": declared.module_ref,
            "output": str(output),
            "code": str(code),
        }
        line = await self._answer(request) or await self._answer(request)
        if not line:
            raise LocalRuntimeError(
                "synthesis",
                "its process ended, twice",
                fix="see what it wrote above, or run with --no-synth",
            )
        answer = json.loads(line)
        if "error" in answer:
            raise LocalRuntimeError("synthesis", str(answer["error"]))

    async def _answer(self, request: Mapping[str, object]) -> bytes:
        """Return the answer to a request; empty when the process has ended or ends over it."""
        worker = await self._started()
        if worker.stdin is None or worker.stdout is None:
            return b""
        # Writing to a process that has ended: uvloop raises a RuntimeError.
        with suppress(OSError, RuntimeError):
            worker.stdin.write(json.dumps(request).encode() + b"\n")
            await worker.stdin.drain()
            if line := await worker.stdout.readline():
                return line
        await worker.wait()
        return b""

    async def _started(self) -> asyncio.subprocess.Process:
        if self._worker is None or self._worker.returncode is not None:
            self._worker = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tablecast.constructs.worker",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=_ANSWER_BYTES_MAX,
                start_new_session=True,  # Ctrl-C is for this process, which ends that one.
            )
        return self._worker


def _key(declared: Declared) -> str:
    from tablecast import __version__

    document = [__version__, declared.module_ref, declared.pipeline.to_dict()]
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
