"""Shards: the same bytes every time, whole or not at all, alone and on Beam."""

from pathlib import Path

import apache_beam as beam
import nibabel as nib
import numpy as np
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to

from beam_preprocess.case import DataError
from beam_preprocess.config import DataConfig
from beam_preprocess.convert import ConvertShards, Destination, convert_shard
from beam_preprocess.datasets.brats import Brats
from beam_preprocess.datasets.dagm import Dagm
from beam_preprocess.record_files import read_records
from beam_preprocess.records import decode_example, decode_raw
from beam_preprocess.shards import Shard, make_shards, read_results

IN_MEMORY = PipelineOptions(
    ["--runner=DirectRunner", "--direct_running_mode=in_memory", "--direct_num_workers=1"]
)


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def destination(out: Path, **changes) -> Destination:
    values = {"examples": out / "examples", "statistics": out / "statistics"}
    values |= {"store": out.parent / f"{out.name}-store", "code": "c0de"}
    return Destination(**{k: str(v) for k, v in (values | changes).items()})


def convert(shard: Shard, out: Path, dataset=None) -> list:
    dataset = dataset or Brats()
    return convert_shard(shard, dataset=dataset, destination=destination(out)).problems


def convert_on_beam(shards, dataset, out: Path, problems_per_shard: list[int]) -> None:
    transform = ConvertShards(dataset, destination(out), results_root=str(out / "results"))
    with beam.Pipeline(options=IN_MEMORY) as pipeline:
        counts = pipeline | beam.Create(shards) | transform
        assert_that(counts, equal_to(problems_per_shard))


def records_of(path: Path) -> list[bytes]:
    return list(read_records(path))


@pytest.fixture
def shards(brats_cohort) -> list[Shard]:
    cases = Brats().list_cases(brats_cohort).cases
    return make_shards("fold-0", cases, cases_per_shard=4)


def test_records_and_statistics_of_every_case_in_order(shards, tmp_path):
    out = tmp_path / "out"
    assert convert(shards[0], out) == []
    name = "Split-fold-0/records-00000-of-00002.gz"
    assert sorted(contents(out)) == [f"examples/{name}", f"statistics/{name}"]
    records = [decode_raw(s) for s in records_of(out / "examples" / name)]
    statistics = [decode_example(s) for s in records_of(out / "statistics" / name)]
    ids = [c.case_id for c in shards[0].cases]
    assert [r.case_id for r in records] == ids and len(ids) == 4
    assert [s["case_id"] for s in statistics] == [[i.encode()] for i in ids]
    for files, record, numbers in zip(shards[0].cases, records, statistics, strict=True):
        case = Brats().read_case(files)
        box = tuple(slice(*edges) for edges in record.box)
        np.testing.assert_array_equal(record.image, case.image[box])
        np.testing.assert_array_equal(record.label, case.label[box])
        assert numbers["label_4_voxels"] == [int((case.label == 4).sum())]


def test_same_bytes_on_every_run(shards, tmp_path):
    for name in ("first", "second"):
        for shard in shards:
            convert(shard, tmp_path / name)
    assert contents(tmp_path / "first") == contents(tmp_path / "second")
    assert len(contents(tmp_path / "first")) == 4


def test_shard_with_a_problem_writes_nothing(brats_root, tmp_path):
    """Neither the cases before the damaged one nor those after it, nor a temporary file."""
    path = brats_root / "BraTS2021_00002" / "BraTS2021_00002_t1.nii.gz"
    path.write_bytes(b"damaged")
    (shard,) = make_shards("fold-0", Brats().list_cases(brats_root).cases, cases_per_shard=6)
    (problem,) = convert(shard, tmp_path / "out")
    assert problem.case_id == "BraTS2021_00002"
    assert contents(tmp_path / "out") == contents(tmp_path / "out-store") == {}


def test_unforeseen_error_leaves_nothing(shards, tmp_path):
    class Failing(Brats):
        def read_case(self, files):
            if files.case_id == "BraTS2021_00002":
                raise RuntimeError("out of something")
            return super().read_case(files)

    with pytest.raises(RuntimeError, match="out of something"):
        convert(shards[0], tmp_path / "out", Failing())
    assert contents(tmp_path / "out") == contents(tmp_path / "out-store") == {}


def test_several_damages_are_told_together(brats_root, check_data):
    """Listing, content, several of one case, cohort; an excluded case says nothing."""

    def file(number, modality):
        case_id = f"BraTS2021_{number:05d}"
        return brats_root / case_id / f"{case_id}_{modality}.nii.gz"

    def save(path, voxels, shift=0.0):
        affine = nib.load(path).affine.copy()
        affine[2, 3] += shift
        nib.save(nib.Nifti1Image(voxels, affine), path)

    file(0, "t2").unlink()
    file(0, "seg").unlink()
    file(1, "flair").write_bytes(file(1, "flair").read_bytes()[:-50])
    label = np.array(nib.load(file(2, "seg")).dataobj)
    save(file(2, "seg"), np.where(label == 4, 7, label).astype(np.uint8), shift=2)
    save(file(2, "t1"), np.zeros(label.shape, np.int16))
    file(3, "t1").unlink()
    config = DataConfig(
        dataset="brats",
        root=str(brats_root),
        folds=9,
        exclude={"BraTS2021_00003": "lacks T1", "BraTS2021_00042": "not there"},
    )
    checked = check_data(config)
    told = [(p.case_id, p.rule.split(",")[0]) for p in DataError(checked.problems).problems]
    assert told == [
        ("BraTS2021_00000", "every case needs one file of modality 'seg'"),
        ("BraTS2021_00000", "every case needs one file of modality 't2'"),
        (
            "BraTS2021_00001",
            "BraTS2021_00001_flair.nii.gz is no complete NIfTI file: Compressed file ended before"
            " the end-of-stream marker was reached",
        ),
        ("BraTS2021_00002", "all files of a case must have one affine"),
        ("BraTS2021_00002", "an image must have voxels other than 0"),
        ("BraTS2021_00002", "label values must be among [0"),
        ("BraTS2021_00042", "every case of data.exclude must be in the folder"),
        ("cohort", "9 folds need at least 9 patients (or images)"),
    ]
    assert str(DataError(checked.problems)).startswith("8 problem(s) in the data")
    kept = {decode_example(r)["case_id"][0] for path in checked.written for r in records_of(path)}
    assert kept == {b"BraTS2021_00004", b"BraTS2021_00005"}


def test_damages_of_two_classes_are_told_together(dagm_root, check_data):
    train = dagm_root / "Class1" / "Train"
    (train / "Label" / "0578_label.PNG").unlink()
    (train / "0577.PNG").write_bytes((train / "0577.PNG").read_bytes()[:300])
    (dagm_root / "Class2" / "Test" / "Label" / "Labels.txt").unlink()
    checked = check_data(DataConfig(dataset="dagm", root=str(dagm_root), folds=2))
    assert [m.split(":")[0] for m in checked.messages] == [
        *("Class1_Train_0577", "Class1_Train_0578", "Class2_Test")
    ]


def test_convert_shards_on_beam(shards, tmp_path):
    """The same files as without Beam, from shards in any order."""
    for shard in shards:
        convert(shard, tmp_path / "alone")
    out = tmp_path / "beam"
    convert_on_beam(shards[::-1], Brats(), out, [0, 0])
    results = read_results(str(out / "results"), shards)
    assert [r.problems for r in results] == [[], []]
    assert [len(r.statistics) for r in results] == [4, 2]
    written = contents(out)
    results = {name for name in written if name.startswith("results/")}
    assert results == {"results/fold-0-00000.json", "results/fold-0-00001.json"}
    records = {name: data for name, data in written.items() if name not in results}
    assert records == contents(tmp_path / "alone")
    count = sum(len(records_of(out / name)) for name in records if name.startswith("examples/"))
    assert count == 6


def test_convert_shards_on_beam_tells_problems(dagm_root, tmp_path):
    """One shard of two has two damaged images: it writes nothing, the other one everything."""
    for name in ("0576", "0577"):
        (dagm_root / "Class1" / "Train" / f"{name}.PNG").write_bytes(b"damaged")
    dataset = Dagm(config=DataConfig(dataset="dagm", classes=(1,)))
    cases = [c for c in dataset.list_cases(dagm_root).cases if c.split == "cv"]
    shards = make_shards("fold-0", cases, cases_per_shard=4)
    out = tmp_path / "beam"
    convert_on_beam(shards, dataset, out, [2, 0])
    problems = [p for r in read_results(str(out / "results"), shards) for p in r.problems]
    assert sorted(p.case_id for p in problems) == ["Class1_Train_0576", "Class1_Train_0577"]
    alone = [p for shard in shards for p in convert(shard, tmp_path / "alone", dataset)]
    assert sorted(problems) == sorted(alone)
    assert contents(tmp_path / "alone").keys() == {
        name for name in contents(out) if not name.startswith("results/")
    }
    (path,) = (out / "examples").rglob("*.gz")
    assert path.name == "records-00001-of-00002.gz"
    assert [decode_raw(s).case_id for s in records_of(path)] == [c.case_id for c in cases[4:]]
