"""docs/walkthrough.md: its steps before training, run as they are written."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs" / "walkthrough.md"


@pytest.mark.slow
def test_walkthrough(tmp_path):
    steps = DOCS.read_text(encoding="utf-8").partition("## 3. Train")[0]
    fenced = steps.split("```")[1::2]
    blocks = [f.removeprefix("sh\n") for f in fenced if f.startswith("sh\n")]
    shown = [f for f in fenced if f.startswith("\n")]
    binaries = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{binaries}:{os.environ['PATH']}"}
    said = []
    for block in blocks:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        said.append(done.stdout)
    for lines, output in zip(shown, (said[1], said[2]), strict=True):
        for line in lines.splitlines():
            assert re.sub(r"\s+", " ", line).strip() in re.sub(r"\s+", " ", output)
