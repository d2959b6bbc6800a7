"""One case: read, checked and described."""

import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from beam_preprocess.content import content_hash
from beam_preprocess.datasets.brats import Brats
from beam_preprocess.examine import examine_case


def files_of(root, case_id="BraTS2021_00000"):
    return next(c for c in Brats().list_cases(root).cases if c.case_id == case_id)


def rewrite(path, change) -> None:
    volume = nib.load(path)
    voxels = change(np.asarray(volume.dataobj))
    nib.save(nib.Nifti1Image(voxels, volume.affine), path)


def test_a_case_in_order(brats_cohort):
    examined = examine_case(files_of(brats_cohort), Brats())
    assert examined.problems == ()
    assert examined.case.image.shape == (16, 18, 20, 4)
    assert examined.statistics["case_id"] == "BraTS2021_00000"
    assert examined.statistics["content"] == content_hash(examined.case)
    assert json.loads(json.dumps(examined.statistics)) == examined.statistics


def test_an_unreadable_case_has_problems_and_no_statistics(brats_root):
    files = files_of(brats_root)
    for path in files.images[:2]:
        path.write_bytes(b"torn")
    examined = examine_case(files, Brats())
    assert [p.path for p in examined.problems] == [str(p) for p in files.images[:2]]
    assert (examined.case, examined.statistics) == (None, None)


def test_a_warning_lets_a_case_pass(brats_root):
    files = files_of(brats_root)
    rewrite(files.label, np.zeros_like)
    examined = examine_case(files, Brats())
    assert [(p.severity, p.rule) for p in examined.problems] == [
        ("warning", "no voxel is labelled")
    ]
    assert examined.statistics["label_1_voxels"] == 0


def test_content_is_the_same_under_another_name_and_with_another_label(brats_case):
    other = replace(brats_case, files=replace(brats_case.files, case_id="other"), label=None)
    assert content_hash(other) == content_hash(brats_case)


@pytest.mark.parametrize(
    "change",
    [
        lambda image: np.where(image == image.max(), image - 1, image),
        lambda image: image.astype(np.int32),
        lambda image: image.reshape(18, 16, 20, 4),
    ],
    ids=["value", "type", "shape"],
)
def test_content_tells_values_types_and_shapes(brats_case, change):
    other = replace(brats_case, image=change(brats_case.image))
    assert content_hash(other) != content_hash(brats_case)
