"""Made-up BraTS cohorts: folders, names, headers and labels of BraTS 2021 (or graded, as 2019)."""

import gzip
import io
import logging
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from beam_preprocess.synth.brain import REFERENCE_SHAPE, make_brain, make_grid
from beam_preprocess.synth.files import require_cohort, write_bytes
from beam_preprocess.synth.scan import CONTRASTS, scan
from beam_preprocess.synth.tumour import make_tumour
from beam_preprocess.validation import require

logger = logging.getLogger(__name__)

MIN_EDGE = 16
MAX_CASES = 100_000
"""Case numbers have five digits."""
GZIP_LEVEL = 1
"""Noise does not compress: level 9 takes far longer for a few percent."""


def write_cohort(
    out: Path,
    *,
    cases: int,
    seed: int,
    shape: tuple[int, int, int] = REFERENCE_SHAPE,
    unequal: bool = False,
    graded: bool = False,
) -> None:
    """Writes `cases` case folders of five files; case i of a seed is the same in every cohort.

    Every case has oedema (2) and a core (1); all but one in eight have an enhancing rim (4).

    Args:
      out: Parent of the case folders, or of HGG/ and LGG/.
      cases: Number of cases, 1 to 100,000.
      seed: Of all that is random, 0 or more.
      shape: Voxels per axis, each at least 16; voxels have 1 mm, the brain is scaled to the grid.
      unequal: Varies every edge by up to 10 % from case to case.
      graded: Puts every fourth case, from the second on, under LGG/ and the others under HGG/.

    Raises:
      ValueError: A number is out of range.
    """
    check_numbers(cases, seed, shape)
    for grade in ("HGG", "LGG") if graded else ("",):
        (out / grade).mkdir(parents=True, exist_ok=True)
    for number in range(cases):
        case_id = f"BraTS2021_{number:05d}"
        folder = out / (_grade(number) if graded else "") / case_id
        logger.info("case %d of %d: %s", number + 1, cases, folder)
        for name, volume in make_volumes(number, seed, shape=shape, unequal=unequal).items():
            write_bytes(folder / f"{case_id}_{name}.nii.gz", nifti_bytes(volume))


def check_numbers(cases: int, seed: int, shape: tuple[int, int, int]) -> None:
    """Raises ValueError for a number of cases, a seed or a shape out of range."""
    require_cohort(cases, seed)
    require(cases <= MAX_CASES, "cases", cases, f"at most {MAX_CASES}")
    require(
        len(shape) == 3 and min(shape) >= MIN_EDGE,
        "shape",
        shape,
        f"3 edges of >= {MIN_EDGE} voxels",
    )


def make_volumes(
    number: int, seed: int, *, shape: tuple[int, int, int], unequal: bool = False
) -> dict[str, NDArray[np.generic]]:
    """Makes one case: t1, t1ce, t2, flair [X, Y, Z] int16 and seg [X, Y, Z] uint8."""
    rng = np.random.default_rng([seed, number])
    factors = rng.uniform(0.9, 1.1, 3) if unequal else np.ones(3)
    edges = tuple(max(MIN_EDGE, round(s * f)) for s, f in zip(shape, factors, strict=True))
    grid = make_grid(edges)
    brain = make_brain(rng, grid)
    tumour = make_tumour(rng, grid, brain, enhancing=_enhances(number))
    volumes = {name: scan(rng, grid, brain, tumour, c) for name, c in CONTRASTS.items()}
    label = np.zeros(edges, np.uint8, order="F")
    label[grid.box] = tumour.label
    return {**volumes, "seg": label}


def nifti_bytes(volume: NDArray[np.generic]) -> bytes:
    """Content of a .nii.gz file with the header of BraTS: LPS grid of 1 mm; no time, no name."""
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    affine[1, 3] = volume.shape[1] - 1
    image = nib.Nifti1Image(volume, affine, dtype=volume.dtype)
    image.set_qform(affine, code="scanner")
    image.set_sform(affine, code="scanner")
    image.header.set_xyzt_units("mm")
    packed = io.BytesIO()
    with gzip.GzipFile("", "wb", GZIP_LEVEL, packed, mtime=0) as stream:
        stream.write(image.to_bytes())
    return packed.getvalue()


def _grade(number: int) -> str:
    """Three high-grade cases for each low-grade one: 0 HGG, 1 LGG, 2 HGG, 3 HGG, 4 HGG, 5 LGG."""
    return "LGG" if number % 4 == 1 else "HGG"


def _enhances(number: int) -> bool:
    """False for one case in eight (5, 13, 21, ...), low-grade all of them."""
    return number % 8 != 5
