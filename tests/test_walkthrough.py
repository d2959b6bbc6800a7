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


@pytest.mark.e2e
def test_walkthrough(tmp_path):
    blocks = re.findall(r"```sh\n(.+?)```", DOCS.read_text(encoding="utf-8"), re.S)
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
    shown = [b for b in re.findall(r"```\n(.+?)```", DOCS.read_text(encoding="utf-8"), re.S)]
    for lines, output in zip(shown, (said[1], said[2]), strict=True):
        for line in lines.splitlines():
            assert re.sub(r"\s+", " ", line).strip() in re.sub(r"\s+", " ", output)
    assert "BLESSED" in said[4] and "1 excluded" in said[4]
    label = nib.load(tmp_path / "walkthrough" / "tumour_012.nii.gz")
    source = nib.load(tmp_path / "walkthrough/Dataset001_Tumour/imagesTs/tumour_012_0000.nii.gz")
    assert label.shape == source.shape
    np.testing.assert_array_equal(label.affine, source.affine)
    assert np.count_nonzero(label.dataobj) > 0 and np.max(label.dataobj) <= 3
