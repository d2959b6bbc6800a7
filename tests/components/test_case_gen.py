"""CaseGen on tiny cohorts: what its artifacts hold, and all problems at once."""

import json
import shutil
from dataclasses import replace

import pytest

from beam_preprocess.case import DataError
from beam_preprocess.config import DataConfig
from beam_preprocess.config_io import to_json
from beam_preprocess.datasets import get_dataset
from beam_preprocess.datasets.brats import BRATS
from beam_preprocess.synth import brats, dagm

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def case_gen():
    """The module; it imports TFX."""
    from components import case_gen

    return case_gen


@pytest.fixture(scope="module")
def brats_cohort(tmp_path_factory):
    """Six cases of 16^3 voxels; not to be changed."""
    root = tmp_path_factory.mktemp("brats")
    brats.write_cohort(root, cases=6, seed=0, shape=(16, 16, 16))
    return root


@pytest.fixture
def brats_root(brats_cohort, tmp_path):
    """A copy to damage."""
    return shutil.copytree(brats_cohort, tmp_path / "brats")


@pytest.fixture
def run(case_gen, artifact, tmp_path):
    """Runs the executor; returns its two artifacts."""

    def run_on(config: DataConfig, out: str = "out", *, store: str = "", info=None):
        names = ("examples", "case_statistics")
        outputs = {name: [artifact("Examples", tmp_path / out / name)] for name in names}
        context = case_gen.CaseGenExecutor.Context(
            beam_pipeline_args=["--runner=DirectRunner", "--direct_running_mode=in_memory"],
            tmp_dir=str(tmp_path / f"{out}-tmp"),
            unique_id="1",
        )
        info = get_dataset(config).info if info is None else info
        parameters = {"config": to_json(config), "info": to_json(info), "store": store}
        parameters |= {"data_fingerprint": "f00", "code": "c0de"}
        case_gen.CaseGenExecutor(context).Do({}, outputs, parameters)
        return [outputs[name][0] for name in names]

    return run_on


def records_of(artifact, split: str) -> list[bytes]:
    """The records of a split, in the order of the files."""
    from pathlib import Path

    from beam_preprocess.record_files import read_records

    files = sorted(Path(artifact.uri).glob(f"Split-{split}/*.gz"))
    return [record for f in files for record in read_records(f)]


def config_of(root, **changes) -> DataConfig:
    return DataConfig(dataset="brats", root=str(root), folds=3, cases_per_shard=1, **changes)


def test_every_case_is_in_one_fold_of_both_artifacts(run, brats_cohort):
    from beam_preprocess.records import decode_example, decode_raw

    examples, statistics = run(config_of(brats_cohort))
    raw = {f: [decode_raw(r).case_id for r in records_of(examples, f"fold-{f}")] for f in range(3)}
    assert [len(ids) for ids in raw.values()] == [2, 2, 2]
    assert len({case for ids in raw.values() for case in ids}) == 6
    for fold, ids in raw.items():
        described = [decode_example(r) for r in records_of(statistics, f"fold-{fold}")]
        assert [d["case_id"][0].decode() for d in described] == ids
        assert all(d["size_x"] == [16] and d["labelled"] == [1] for d in described)


def test_artifacts_are_described_as_tfx_wants_it(run, brats_cohort):
    from tfx.components.util import examples_utils
    from tfx.proto import example_gen_pb2

    for artifact in run(config_of(brats_cohort)):
        assert json.loads(artifact.split_names) == ["fold-0", "fold-1", "fold-2"]
        payload = examples_utils.get_payload_format(artifact)
        assert payload == example_gen_pb2.FORMAT_TF_EXAMPLE
        assert examples_utils.get_file_format(artifact) == "tfrecords_gzip"


def test_cohort_file_says_who_is_where(run, brats_cohort):
    from pathlib import Path

    from beam_preprocess.records import decode_raw

    config = config_of(brats_cohort, exclude={"BraTS2021_00002": "torn"})
    examples, statistics = run(config)
    cohort = json.loads((Path(examples.uri) / "cohort.json").read_text())
    assert set(cohort) == {"listed", "excluded", "ignored_files", "warnings", "splits", "columns"}
    assert cohort["columns"] == {}
    assert (cohort["listed"], cohort["excluded"]) == (6, {"BraTS2021_00002": "torn"})
    assert sorted(cohort["splits"]) == ["fold-0", "fold-1", "fold-2"]
    for split, ids in cohort["splits"].items():
        assert [decode_raw(r).case_id for r in records_of(examples, split)] == ids
    assert sorted(len(ids) for ids in cohort["splits"].values()) == [1, 2, 2]
    assert not (Path(statistics.uri) / "cohort.json").exists()


def test_shards_hold_so_many_cases(run, brats_cohort):
    from pathlib import Path

    config = DataConfig(dataset="brats", root=str(brats_cohort), folds=2, cases_per_shard=2)
    examples, _ = run(config)
    names = sorted(p.name for p in Path(examples.uri).glob("Split-fold-0/*"))
    assert names == ["records-00000-of-00002.gz", "records-00001-of-00002.gz"]


def test_official_test_images_are_a_split_of_their_own(run, tmp_path):
    dagm.write_cohort(tmp_path / "dagm", cases=8, seed=0, size=32)
    config = DataConfig(dataset="dagm", root=str(tmp_path / "dagm"), folds=2)
    examples, statistics = run(config)
    for artifact in (examples, statistics):
        assert json.loads(artifact.split_names) == ["fold-0", "fold-1", "test"]
        counts = [len(records_of(artifact, s)) for s in ("fold-0", "fold-1", "test")]
        assert counts == [4, 4, 2]


def test_same_config_gives_the_same_bytes(run, brats_cohort):
    first, second = (run(config_of(brats_cohort), out)[0] for out in ("one", "two"))
    for split in ("fold-0", "fold-1", "fold-2"):
        assert records_of(first, split) == records_of(second, split) != []


def test_all_problems_are_told_at_once(run, brats_root, tmp_path):
    """One that the listing shows, two of reading, one of the exclusions."""
    first, second, third = sorted(p for p in brats_root.iterdir() if p.is_dir())[:3]
    (first / f"{first.name}_t2.nii.gz").unlink()
    broken = second / f"{second.name}_flair.nii.gz"
    broken.write_bytes(broken.read_bytes()[:200])
    mixed = third / f"{third.name}_t1.nii.gz"
    mixed.write_bytes(b"no NIfTI at all")
    with pytest.raises(DataError) as raised:
        run(config_of(brats_root, exclude={"nobody": "left"}))
    lines = str(raised.value).splitlines()
    assert lines[0] == "4 problem(s) in the data:"
    assert [line.split(":")[0] for line in lines[1:]] == [
        f"  1. {first.name}",
        f"  2. {second.name}",
        f"  3. {third.name}",
        "  4. nobody",
    ]
    assert "modality 't2'" in lines[1] and str(first) in lines[1]
    assert f"{broken.name} is no complete NIfTI file" in lines[2]
    assert "data.exclude" in lines[4]
    assert not list((tmp_path / "out").rglob("cohort.json"))


def test_folder_that_does_not_exist(run, tmp_path):
    with pytest.raises(DataError, match="does not exist.*set data.root"):
        run(config_of(tmp_path / "nowhere"))


def test_empty_folder(run, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="must hold cases of dataset 'brats', found none"):
        run(config_of(tmp_path / "empty"))


def test_warnings_stand_in_the_cohort_and_do_not_stop(run, brats_root):
    """Labelled voxels in a case that is 0 there in all channels."""
    from pathlib import Path

    import nibabel as nib
    import numpy as np

    case = min(p for p in brats_root.iterdir() if p.is_dir())
    path = case / f"{case.name}_seg.nii.gz"
    label = nib.load(path)
    voxels = np.array(label.dataobj)
    voxels[0, 0, :3] = 2
    nib.save(nib.Nifti1Image(voxels, label.affine), path)
    examples, _ = run(config_of(brats_root))
    (warning,) = json.loads((Path(examples.uri) / "cohort.json").read_text())["warnings"]
    assert warning.startswith(
        f"{case.name}: labelled voxels must lie on the image, 3 lie where it is 0 in all"
    )


def test_equal_images_under_two_names_are_an_error(run, brats_root):
    first, second = sorted(p for p in brats_root.iterdir() if p.is_dir())[:2]
    for kind in ("t1", "t1ce", "t2", "flair"):
        shutil.copy(first / f"{first.name}_{kind}.nii.gz", second / f"{second.name}_{kind}.nii.gz")
    with pytest.raises(DataError) as raised:
        run(config_of(brats_root))
    assert [p.case_id for p in raised.value.problems] == [first.name, second.name]
    assert f"this one has that of {second.name}" in raised.value.problems[0].rule


def test_statistics_of_every_case_for_later_comparisons(run, brats_cohort):
    from pathlib import Path

    examples, _ = run(config_of(brats_cohort))
    known = json.loads((Path(examples.uri) / "cohort-statistics.json").read_text())
    cases = known["case_statistics"]
    assert [c["case_id"] for c in cases] == [f"BraTS2021_{n:05d}" for n in range(6)]
    assert all(len(c["content"]) == 64 and c["size_x"] == 16 for c in cases)


def test_second_run_finds_the_shards_of_the_first(run, brats_cohort, tmp_path):
    from pathlib import Path

    store = str(tmp_path / "store")
    first, _ = run(config_of(brats_cohort), "one", store=store)
    second, _ = run(config_of(brats_cohort), "two", store=store)
    for path in Path(first.uri).rglob("*.gz"):
        twin = Path(second.uri) / path.relative_to(first.uri)
        assert twin.stat().st_ino == path.stat().st_ino, "the same file, converted once"


def test_dataset_that_is_not_what_the_pipeline_was_made_for(run, brats_cohort):
    planned = replace(BRATS, label_values=(0, 1, 2, 3))
    with pytest.raises(ValueError, match=r"label_values \(0, 1, 2, 3\) became \(0, 1, 2, 4\)"):
        run(config_of(brats_cohort), info=planned)


def test_component_is_cached_by_config_data_and_code(case_gen):
    node = case_gen.CaseGen(config_of("cases"), BRATS, data_fingerprint="f00", code="c0de")
    assert set(node.outputs) == {"examples", "case_statistics"}
    properties = node.exec_properties
    assert (properties["data_fingerprint"], properties["code"]) == ("f00", "c0de")
    config = json.loads(properties["config"])
    assert (config["root"], config["folds"], config["cases_per_shard"]) == ("cases", 3, 1)
