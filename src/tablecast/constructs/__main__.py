"""
Synthesize a pipeline: `python -m tablecast.constructs --pipeline module:name --source DIR`.

This is the app that `tablecast deploy` hands to the CDK's command line. The cloud assembly goes to
`--output`, or where the CDK's command line says.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from tablecast.errors import TablecastError


def main(arguments: list[str] | None = None) -> int:
    """Synthesize; return 0, or 1 with one line on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m tablecast.constructs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--pipeline", required=True, help="where the pipeline is, as module:name")
    parser.add_argument("--source", type=Path, default=Path(), help="folder of the modules")
    parser.add_argument("--requirements", type=Path, help="lock file of the consumers' packages")
    parser.add_argument("--python", default="3.13", help="the functions' Python: 3.12 to 3.14")
    parser.add_argument("--cache", type=Path, help="folder for finished bundles")
    parser.add_argument("--output", type=Path, help="folder for the cloud assembly")
    given = parser.parse_args(arguments)
    try:
        assembly = synthesize(**vars(given))
    except TablecastError as error:
        print(f"tablecast: {error}", file=sys.stderr)  # noqa: T201 - a command line
        return 1
    print(assembly)  # noqa: T201 - a command line
    return 0


def synthesize(
    *,
    pipeline: str,
    source: Path,
    requirements: Path | None = None,
    python: str = "3.13",
    cache: Path | None = None,
    output: Path | None = None,
    bundles: Any = None,
) -> str:
    """
    Write the cloud assembly of a pipeline; return its folder.

    Raises:
        LoadError: The pipeline's module does not import, or holds none.
        DeclarationError, BundleError: As `Tablecast`.
        MissingExtraError: The extra `cdk` is not installed.
    """
    from aws_cdk import App, Environment  # noqa: PLC0415 - Node is started by it

    from tablecast.bundling import Bundler  # noqa: PLC0415
    from tablecast.constructs import PipelineStack  # noqa: PLC0415
    from tablecast.constructs.pipeline import CACHE  # noqa: PLC0415
    from tablecast.declare import Pipeline  # noqa: PLC0415
    from tablecast.loading import load_object  # noqa: PLC0415

    sys.path.insert(0, str(source.resolve()))
    found = load_object(pipeline, where="--pipeline")
    if not isinstance(found, Pipeline):
        from tablecast.errors import LoadError  # noqa: PLC0415

        raise LoadError("--pipeline", f"{pipeline} must be a Pipeline", got=found)
    environment = os.environ  # noqa: TID251 - the CDK's command line passes these
    app = App(outdir=str(output) if output else None)
    PipelineStack(
        app,
        pipeline=found,
        env=Environment(
            account=environment.get("CDK_DEFAULT_ACCOUNT"),
            region=environment.get("CDK_DEFAULT_REGION"),
        ),
        module=pipeline,
        python=python,
        bundles=bundles
        or Bundler(
            source=source,
            cache=cache or CACHE,
            python=python,
            requirements=requirements,
            progress=lambda line: print(line, file=sys.stderr),  # noqa: T201
        ),
    )
    return str(app.synth().directory)


if __name__ == "__main__":
    sys.exit(main())
