"""Made-up cohorts in the raw format of nnU-Net: the brains of `synth brats`, two channels."""

import json
from pathlib import Path

import numpy as np

from beam_preprocess.atomic import write_text
from beam_preprocess.synth.brats import check_numbers, make_volumes, nifti_bytes
from beam_preprocess.synth.files import write_bytes

CHANNELS = {"T1ce": "t1ce", "FLAIR": "flair"}
"""Channel name -> contrast."""
LABELS = {"background": 0, "whole_tumor": [1, 2, 3], "tumor_core": [1, 3], "enhancing": 3}
"""Regions, as nnU-Net trains them: 1 core, 2 oedema, 3 enhancing."""


def write_cohort(
    out: Path, *, cases: int, seed: int, shape: tuple[int, int, int], unequal: bool = False
) -> None:
    """Writes `cases` training cases and, without labels, a quarter as many to predict.

    Args:
      out: Folder of the dataset, such as nnUNet_raw/Dataset001_Tumour.
      cases: Number of training cases, at least 1.
      seed: Of all that is random, 0 or more.
      shape: Voxels per axis, each at least 16; voxels have 1 mm.
      unequal: Varies every edge by up to 10 % from case to case.

    Raises:
      ValueError: A number is out of range.
    """
    check_numbers(cases, seed, shape)
    for number in range(cases + max(1, cases // 4)):
        volumes = make_volumes(number, seed, shape=shape, unequal=unequal)
        part = "Tr" if number < cases else "Ts"
        case_id = f"tumour_{number:03d}"
        for index, contrast in enumerate(CHANNELS.values()):
            path = out / f"images{part}" / f"{case_id}_{index:04d}.nii.gz"
            write_bytes(path, nifti_bytes(volumes[contrast]))
        if part == "Tr":
            label = np.where(volumes["seg"] == 4, 3, volumes["seg"]).astype(np.uint8)
            write_bytes(out / "labelsTr" / f"{case_id}.nii.gz", nifti_bytes(label))
    write_text(out / "dataset.json", json.dumps(_description(cases), indent=1))


def _description(cases: int) -> dict[str, object]:
    return {
        "channel_names": {str(i): name for i, name in enumerate(CHANNELS)},
        "labels": LABELS,
        "regions_class_order": [2, 1, 3],
        "numTraining": cases,
        "file_ending": ".nii.gz",
    }
