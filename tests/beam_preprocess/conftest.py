"""Tiny cohorts on disk, and the way from a cohort to its problems that CaseGen takes."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from beam_preprocess.case import Case, CaseFiles, Problem
from beam_preprocess.cohort import Cohort, list_cohort
from beam_preprocess.config import DataConfig
from beam_preprocess.convert import Destination, convert_shard
from beam_preprocess.datasets import get_dataset
from beam_preprocess.datasets.brats import Brats
from beam_preprocess.shards import make_shards
from beam_preprocess.synth import brats, dagm

SHAPE = (16, 18, 20)


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A cohort, all of its problems, and the record files that were written all the same."""

    cohort: Cohort
    problems: list[Problem]
    written: list[Path]

    @property
    def messages(self) -> list[str]:
        return sorted({str(problem) for problem in self.problems})


@pytest.fixture(scope="session")
def brats_cohort(tmp_path_factory) -> Path:
    """Six case folders of 16 x 18 x 20 voxels; not to be changed."""
    root = tmp_path_factory.mktemp("brats")
    brats.write_cohort(root, cases=6, seed=0, shape=SHAPE)
    return root


@pytest.fixture(scope="session")
def dagm_cohort(tmp_path_factory) -> Path:
    """Per class (1 and 2) eight train images (0576 to 0583) and two test images (0001, 0002) of
    64 px; even train images and 0001 are defective. Not to be changed.
    """
    root = tmp_path_factory.mktemp("dagm")
    dagm.write_cohort(root, cases=8, seed=0, classes=(1, 2), size=64)
    return root


@pytest.fixture
def brats_root(brats_cohort, tmp_path) -> Path:
    """A copy of `brats_cohort` to damage."""
    return Path(shutil.copytree(brats_cohort, tmp_path / "brats"))


@pytest.fixture
def dagm_root(dagm_cohort, tmp_path) -> Path:
    """A copy of `dagm_cohort` to damage."""
    return Path(shutil.copytree(dagm_cohort, tmp_path / "dagm"))


@pytest.fixture(scope="session")
def brats_case(brats_cohort) -> Case:
    """The first case of `brats_cohort`, read."""
    return Brats().read_case(Brats().list_cases(brats_cohort).cases[0])


def make_destination(out: Path, *, store: Path, code: str = "c0de") -> Destination:
    """Artifacts `records` and `statistics` in a folder."""
    return Destination(
        examples=str(out / "records"),
        statistics=str(out / "statistics"),
        store=str(store),
        code=code,
    )


@pytest.fixture
def check_data(tmp_path) -> Callable[[DataConfig], Checked]:
    """Lists a cohort and converts its shards, as CaseGen does, and collects every problem."""

    def check(config: DataConfig) -> Checked:
        dataset = get_dataset(config)
        cohort = list_cohort(dataset, config)
        out = tmp_path / "examples"
        destination = make_destination(out, store=tmp_path / "store")
        problems = list(cohort.problems)
        for split, cases in cohort.splits.items():
            for shard in make_shards(split, cases, cases_per_shard=config.cases_per_shard):
                result = convert_shard(shard, dataset=dataset, destination=destination)
                problems += result.problems
        written = sorted(p for p in out.rglob("*") if p.is_file())
        return Checked(cohort=cohort, problems=problems, written=written)

    return check


@pytest.fixture
def make_case() -> Callable[..., Case]:
    """Makes a case in memory from its arrays."""

    def make(image: np.ndarray, label: np.ndarray | None = None, case_id: str = "c") -> Case:
        files = CaseFiles(case_id=case_id, group="g", stratum="s", images=(), label=None)
        rank = image.ndim - 1
        return Case(
            files=files,
            image=image,
            label=label,
            affine=np.diag([*range(2, 2 + rank), *[1.0] * (4 - rank)]),
            spacing=tuple(float(n) for n in range(2, 2 + rank)),
            sources={"b.png": "22", "a b.nii.gz": "11"},
        )

    return make


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real cases beside the repository; the test skips where there is none."""
    root = Path(__file__).parents[2].parent / "shared" / "data"
    if not root.is_dir():
        pytest.skip(f"no real data at {root}")
    return root
