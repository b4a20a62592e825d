"""
Synthesize again and again: `python -m tablecast.constructs.worker`.

The construct library takes seconds to load and half a second to synthesize, so `tablecast dev`
keeps this process. A request is one line of JSON on standard input, an answer one on standard
output; standard input's end is this process's.

| request | |
| --- | --- |
| `pipeline` | `Pipeline.to_dict()` |
| `module` | where it is, as `module:name` |
| `output` | folder for the cloud assembly |
| `code` | folder that stands for the functions' code |

The answer has `assembly`, the folder that was written, or `error`, one line.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Final

from tablecast.errors import TablecastError

_NICE: Final = 5
"""Behind what the user waits for."""


class _Folder:
    """Bundles that are one folder: whoever runs this template has the code elsewhere."""

    def __init__(self, path: Path) -> None:
        from tablecast.bundling import Bundle  # noqa: PLC0415 - the library comes first

        self._bundle = Bundle(path, "0" * 64)

    def relay(self) -> Any:
        """Return the folder."""
        return self._bundle

    def consumer(self) -> Any:
        """Return the folder."""
        return self._bundle


def synthesize(request: dict[str, Any]) -> str:
    """
    Write the cloud assembly that a request asks for; return its folder.

    Raises:
        TablecastError: The pipeline cannot be deployed; the text says why.
    """
    from tablecast.constructs import PipelineStack  # noqa: PLC0415, I001 - chooses Node first
    from aws_cdk import App  # noqa: PLC0415

    from tablecast.declare import Pipeline  # noqa: PLC0415

    app = App(outdir=str(request["output"]), analytics_reporting=False)
    PipelineStack(
        app,
        pipeline=Pipeline.from_dict(request["pipeline"]),
        module=request["module"],
        bundles=_Folder(Path(request["code"])),
    )
    return str(app.synth().directory)


def main() -> int:
    """Answer requests until there are no more."""
    os.nice(_NICE)
    # Answers have a file of their own: whatever else prints goes to standard error.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    os.environ.setdefault("CDK_VALIDATION", "false")  # noqa: TID251 - read by the CDK
    import tablecast.constructs  # noqa: PLC0415, F401 - loaded before the first request

    for line in sys.stdin:
        try:
            answer = {"assembly": synthesize(json.loads(line))}
        except TablecastError as error:
            answer = {"error": str(error)}
        except Exception as error:  # noqa: BLE001 - of the construct library, whatever it is
            text = " ".join(str(error).split())
            answer = {"error": f"the template cannot be synthesized: {text[:500]}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
