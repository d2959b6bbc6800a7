"""Artifacts in temporary folders, as TFX hands them to an executor."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beam_preprocess.case import Case, CaseFiles


@pytest.fixture
def artifact() -> Callable[[str, Path], Any]:
    """A function: name of one of TFX's artifact types, its folder -> the artifact."""

    def make(kind: str, folder: Path) -> Any:
        from tfx.types import standard_artifacts

        made = getattr(standard_artifacts, kind)()
        made.uri = str(folder)
        return made

    return make


@pytest.fixture(scope="session")
def make_case() -> Callable[..., Case]:
    """A function: image [*S, C], label [*S] -> a case in memory, of spacing 1."""

    def make(image: np.ndarray, label: np.ndarray | None, case_id: str = "case") -> Case:
        files = CaseFiles(case_id=case_id, group=case_id, stratum="s", images=(), label=None)
        spacing = (1.0,) * (image.ndim - 1)
        affine = np.eye(4)
        return Case(
            files=files, image=image, label=label, affine=affine, spacing=spacing, sources={}
        )

    return make
