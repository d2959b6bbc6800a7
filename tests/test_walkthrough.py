"""docs/walkthrough.md, run as it is written."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

DOCS = Path(__file__).parents[1] / "docs" / "walkthrough.md"


@pytest.mark.timeout(1200)
@pytest.mark.slow  # with e2e, the longest of all: it starts first
@pytest.mark.e2e
def test_walkthrough(tmp_path):
    fenced = DOCS.read_text(encoding="utf-8").split("```")[1::2]
    blocks = [f.removeprefix("sh\n") for f in fenced if f.startswith("sh\n")]
    shown = [f for f in fenced if f.startswith("\n")]
    said = [_run(block, tmp_path) for block in blocks]
    _made, checked, with_errors, _repaired, trained, _predicted, compared = said

    for lines, output in zip(shown, (checked, with_errors), strict=True):
        for line in lines.splitlines():
            assert _one_space(line) in _one_space(output)
    assert "BLESSED" in trained and "1 excluded" in trained
    assert "10 new cases against 14 old ones of walkthrough/run" in compared
    assert re.search(r"size_x +differs", compared) and "features differ" in compared
    label = nib.load(tmp_path / "walkthrough" / "tumour_012.nii.gz")
    source = nib.load(tmp_path / "walkthrough/Dataset001_Tumour/imagesTs/tumour_012_0000.nii.gz")
    assert label.shape == source.shape
    np.testing.assert_array_equal(label.affine, source.affine)
    assert 0 < np.count_nonzero(label.dataobj) < np.prod(label.shape) / 2
    assert set(np.unique(label.dataobj)) <= {0, 1, 2, 3}


def _run(block: str, folder: Path) -> str:
    """What the commands print; they find `unet-tfx` where this Python lives."""
    binaries = Path(sys.executable).parent
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=folder,
        env=os.environ | {"PATH": f"{binaries}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _one_space(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
