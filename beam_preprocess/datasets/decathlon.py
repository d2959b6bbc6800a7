"""Medical Segmentation Decathlon: dataset.json lists image and label of every case, NIfTI files.

An image holds all modalities, [X, Y, Z, C], or [X, Y, Z] where there is one. Cases of the list
"training" are cross-validated. Those of "test" are for prediction, or become the split `test` where
the list names labels.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beam_preprocess.case import Case, CaseFiles, DataError, DatasetInfo, Listing
from beam_preprocess.config import DataConfig
from beam_preprocess.datasets import dataset_json
from beam_preprocess.datasets import decathlon_lists as lists
from beam_preprocess.datasets.dataset_json import NAME, Description
from beam_preprocess.datasets.listing import missing_root
from beam_preprocess.datasets.volumes import read_volume_case, without_suffix
from beam_preprocess.nifti import write_nifti


class Decathlon:
    """Reader of a task folder of the Medical Segmentation Decathlon."""

    def __init__(self, info: DatasetInfo, config: DataConfig | None = None):
        self.info = info
        self._allow_unlabelled = config.allow_unlabelled if config else False

    @staticmethod
    def describe(config: DataConfig) -> DatasetInfo:
        """Channels and labels, as dataset.json tells. Raises DataError where it is wrong."""
        description = _read_description(Path(config.root))
        return dataset_json.dataset_info(description, name=config.dataset, rank=3)

    def list_cases(self, root: Path) -> Listing:
        """Lists the cases of both lists, and where lists and folders disagree."""
        if listing := missing_root(root):
            return listing
        try:
            description = _read_description(root)
        except DataError as e:
            return Listing(cases=(), problems=tuple(e.problems))
        entries, problems = lists.read_entries(description)
        problems += [
            *lists.check_counts(description),
            *lists.check_files(entries),
            *lists.check_repeated(entries),
            *lists.check_unlisted(root, entries),
        ]
        if not self._allow_unlabelled:
            problems += lists.check_unlabelled(description, entries)
        unusable = {p.case_id for p in problems}
        cases = [lists.make_case(e) for e in entries if e.case_id not in unusable]
        return Listing(
            cases=tuple(sorted(cases, key=lambda c: c.case_id)),
            problems=tuple(sorted(problems)),
            ignored=dataset_json.ignored_paths(root),
        )

    def read_case(self, files: CaseFiles) -> Case:
        """Reads image and label, and checks them against each other."""
        return read_volume_case(files, self.info)

    def read_image(self, path: Path) -> Case:
        """Reads the image of one case, a file with all modalities."""
        case_id = without_suffix(path.name)
        return self.read_case(
            CaseFiles(case_id=case_id, group=case_id, stratum="", images=(path,), label=None)
        )

    def write_label(self, label: NDArray[np.uint8], case: Case, path: Path) -> None:
        """Writes the label map as NIfTI with the affine of the case."""
        write_nifti(label, case.affine, path)


def _read_description(root: Path) -> Description:
    content, path = dataset_json.load(root), root / NAME
    problems = dataset_json.check_content(path, content)
    for name in lists.LISTS:
        if not isinstance(listed := content.get(name, []), list):
            rule = f'"{name}" must be a list of cases, got a {type(listed).__name__}'
            problems.append(dataset_json.problem(path, rule, f"correct or restore {NAME}"))
    if not content.get("training"):
        rule = '"training" must list the training cases, it is missing or empty'
        remedy = f"correct or restore {NAME}; data in nnU-Net's format has data.dataset nnunet"
        problems.append(dataset_json.problem(path, rule, remedy))
    if problems:
        raise DataError(problems)
    return dataset_json.describe(root, content)
