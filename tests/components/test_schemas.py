"""The curated schemas accept what the data layer writes, and say in words what is not ordinary."""

from pathlib import Path

import pytest

from beam_preprocess.config_io import to_json
from beam_preprocess.datasets import get_reader
from beam_preprocess.datasets.brats import BRATS
from beam_preprocess.datasets.dagm import DAGM
from beam_preprocess.datasets.severstal import SEVERSTAL
from beam_preprocess.examine import examine_case
from beam_preprocess.synth import brats, dagm

INFOS = {"brats": BRATS, "dagm": DAGM}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def schemas():
    """The module; it imports tensorflow-transform."""
    from components import schemas

    return schemas


@pytest.fixture(scope="module")
def statistics(tmp_path_factory) -> dict[str, list[dict]]:
    """Dataset -> the statistics of synthetic cases, as CaseGen makes them."""
    found = {}
    for name in ("brats", "dagm"):
        root = tmp_path_factory.mktemp(name)
        if name == "brats":
            brats.write_cohort(root, cases=3, seed=0, shape=(20, 20, 18), graded=True)
        else:
            dagm.write_cohort(root, cases=4, seed=0, size=64)
        found[name] = _read(name, root)
    return found


def _read(name: str, root: Path) -> list[dict]:
    dataset = get_reader(INFOS[name])
    return [dict(examine_case(c, dataset).statistics) for c in dataset.list_cases(root).cases]


@pytest.fixture(scope="module")
def anomalies_of(schemas):
    """A function: dataset, statistics of cases -> {feature: what TFDV says}."""
    import tensorflow_data_validation as tfdv
    from tensorflow_data_validation.statistics.stats_impl import generate_statistics_in_memory
    from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

    from beam_preprocess.records import encode_example

    def validate(name: str, cases: list[dict]) -> dict[str, str]:
        records = [encode_example(case) for case in cases]
        batch = ExamplesToRecordBatchDecoder().DecodeBatch(records)
        schema = schemas.statistics_schema(INFOS[name])
        found = tfdv.validate_statistics(generate_statistics_in_memory(batch), schema)
        return {n: f"{i.short_description}: {i.description}" for n, i in found.anomaly_info.items()}

    return validate


@pytest.mark.parametrize("name", ["brats", "dagm"])
def test_synthetic_cases_are_ordinary(anomalies_of, statistics, name):
    assert len(statistics[name]) >= 3
    assert anomalies_of(name, statistics[name]) == {}


@pytest.mark.parametrize("name", ["brats", "dagm"])
def test_schema_names_exactly_what_the_statistics_hold(schemas, statistics, name):
    schema = schemas.statistics_schema(INFOS[name])
    names = [feature.name for feature in schema.feature]
    assert len(names) == len(set(names))
    assert all(set(case) == set(names) for case in statistics[name])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of infinity
@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("brats", {"spacing_x": 9.0}, "Out-of-range values: Unexpectedly high value: 9>5"),
        ("brats", {"spacing_z": 0.1}, "Out-of-range values: Unexpectedly low values: 0.1"),
        ("brats", {"size_z": 5}, "Out-of-range values: Unexpectedly small value: 5."),
        ("brats", {"size_x": 2000}, "Out-of-range values: Unexpectedly large value: 2000"),
        ("brats", {"t1_mean": float("nan")}, "Invalid values: Float feature has NaN values"),
        ("brats", {"flair_p99": float("inf")}, "Inf"),
        ("brats", {"t2_stdev": 0.0}, "Out-of-range values: Unexpectedly low values: 0"),
        ("brats", {"t1_foreground": 0.001}, "Unexpectedly low values: 0.001"),
        ("brats", {"orientation": "XYZ"}, "Unexpected string values: Examples contain values"),
        ("brats", {"channels": 3}, "Unexpectedly small value: 3"),
        ("brats", {"labelled": 0}, "Unexpectedly small value: 0"),
        ("dagm", {"spacing_x": 9.0}, "Unexpectedly high value: 9>1"),
        ("dagm", {"size_y": 5}, "Unexpectedly small value: 5"),
        ("dagm", {"grey_mean": 255.0}, "Unexpectedly high value: 255>254"),
        ("dagm", {"orientation": "RAS"}, "Unexpected string values"),
    ],
)
def test_what_is_not_ordinary_is_told(anomalies_of, statistics, name, change, words):
    """Of one case among others; all other features stay ordinary."""
    first, *others = statistics[name]
    found = anomalies_of(name, [first | change, *others])
    assert list(found) == list(change)
    assert words in found[next(iter(change))]


@pytest.mark.parametrize("missing", ["t1_mean", "spacing_y", "content", "label_4_voxels"])
def test_feature_that_one_case_lacks(anomalies_of, statistics, missing):
    first, *others = statistics["brats"]
    found = anomalies_of("brats", [{k: v for k, v in first.items() if k != missing}, *others])
    assert list(found) == [missing]
    assert "missing" in found[missing].lower() or "fewer" in found[missing].lower()


def test_feature_that_no_case_has(anomalies_of, statistics):
    cases = [{k: v for k, v in c.items() if k != "t2_mean"} for c in statistics["brats"]]
    assert anomalies_of("brats", cases) == {
        "t2_mean": "Column dropped: Column is completely missing"
    }


def test_feature_that_nobody_knows(anomalies_of, statistics):
    cases = [case | {"scanner": "x"} for case in statistics["brats"]]
    assert list(anomalies_of("brats", cases)) == ["scanner"]


def test_several_anomalies_are_all_told(anomalies_of, statistics):
    first, *others = statistics["brats"]
    found = anomalies_of("brats", [first | {"spacing_x": 9.0, "size_z": 5}, *others])
    assert set(found) == {"spacing_x", "size_z"}


def test_every_orientation_of_nibabel_is_known(schemas):
    """6 orders of the axes, 2 directions each: 48."""
    schema = schemas.statistics_schema(BRATS)
    domain = next(f for f in schema.feature if f.name == "orientation").string_domain.value
    assert len(domain) == len(set(domain)) == 48
    assert {"RAS", "LPS", "LIP", "SRA"} <= set(domain)
    assert all(sorted(o.translate(str.maketrans("LPI", "RAS"))) == sorted("RAS") for o in domain)


@pytest.mark.parametrize("name", ["brats", "dagm"])
def test_record_schema_parses_raw_records(schemas, name):
    """What Transform makes of it: the feature spec that the records are written by."""
    from tensorflow_transform.tf_metadata import schema_utils

    from beam_preprocess.records import raw_feature_spec

    info = INFOS[name]
    spec = schema_utils.schema_as_feature_spec(schemas.record_schema(info)).feature_spec
    assert spec == raw_feature_spec(info.rank)


@pytest.mark.parametrize("kind", ["records", "statistics"])
def test_schema_text_is_read_back(schemas, kind):
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    info = DAGM
    makers = {"records": schemas.record_schema, "statistics": schemas.statistics_schema}
    read = text_format.Parse(schemas.schema_text(kind, info), schema_pb2.Schema())
    assert read == makers[kind](info)


def test_curated_schema_writes_the_schema_of_the_dataset(schemas, artifact, tmp_path):
    from components.curated_schema import CuratedSchemaExecutor

    outputs = {"schema": [artifact("Schema", tmp_path / "schema")]}
    parameters = {"kind": "statistics", "info": to_json(SEVERSTAL), "fingerprint": "f00"}
    CuratedSchemaExecutor().Do({}, outputs, parameters)
    written = (tmp_path / "schema" / "schema.pbtxt").read_text()
    assert written == schemas.schema_text("statistics", SEVERSTAL)


def test_curated_schema_is_cached_by_the_dataset():
    from components.curated_schema import CuratedSchema

    node = CuratedSchema("records", BRATS, fingerprint="f00")
    assert node.exec_properties == {
        "kind": "records",
        "info": to_json(BRATS),
        "fingerprint": "f00",
    }
