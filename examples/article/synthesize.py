"""Write `cdk.out` anew: what runs the stack, and nothing that only says how it was made."""

import json
import shutil
import tempfile
from pathlib import Path

from app import ArticleStack
from aws_cdk import App

HERE = Path(__file__).parent
OUT = HERE / "cdk.out"
KEPT = {"templateFile", "stackName"}


def main() -> None:
    """Synthesize, and keep manifest, template and where the functions' code is."""
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    with tempfile.TemporaryDirectory() as scratch:
        app = App(outdir=scratch)
        ArticleStack(app, "Article")
        made = Path(app.synth().directory)
        manifest = json.loads((made / "manifest.json").read_text())
        stack = manifest["artifacts"]["Article"]
        stack["properties"] = {
            key: stack["properties"][key] for key in KEPT & {*stack["properties"]}
        }
        for name in ("dependencies", "additionalMetadataFile", "metadata"):
            stack.pop(name, None)
        write("manifest.json", {"version": manifest["version"], "artifacts": {"Article": stack}})
        write("Article.template.json", json.loads((made / "Article.template.json").read_text()))
        assets = json.loads((made / "Article.assets.json").read_text())
        files = {
            key: each
            for key, each in assets["files"].items()
            if each["source"]["packaging"] == "zip"
        }
        for each in files.values():
            folder = {"DynamoLambda/Code": "relay", "SqsLambda/Code": "worker"}[each["displayName"]]
            each["source"]["path"] = f"../lambda/{folder}"
        write("Article.assets.json", {**assets, "files": files})


def write(name: str, document: object) -> None:
    """Write one file."""
    (OUT / name).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
