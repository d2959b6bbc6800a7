"""The gate: closed by any anomaly of any split, it names the cases."""

import json

import numpy as np
import pytest

from beam_preprocess.datasets.dagm import DAGM
from beam_preprocess.statistics import case_statistics

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data_gate():
    """The module; it imports TFX."""
    from components import data_gate

    return data_gate


@pytest.fixture
def write_anomalies(tmp_path):
    """A function: split, {feature: (short description, description)} -> `SchemaDiff.pb`."""
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    def write(split: str, found: dict[str, tuple[str, str]]):
        anomalies = anomalies_pb2.Anomalies()
        for name, (short, long) in found.items():
            anomalies.anomaly_info[name].path.step.append(name)
            anomalies.anomaly_info[name].short_description = short
            anomalies.anomaly_info[name].description = long
        folder = tmp_path / "anomalies" / f"Split-{split}"
        folder.mkdir(parents=True)
        (folder / "SchemaDiff.pb").write_bytes(anomalies.SerializeToString())
        return tmp_path / "anomalies"

    return write


@pytest.fixture
def photograph(make_case):
    """A function: case id, changes -> the statistics of an ordinary photograph, changed."""
    image = np.arange(32 * 32, dtype=np.int64).reshape(32, 32, 1).astype(np.uint8)

    def describe(case_id: str, **changes: object) -> dict[str, object]:
        case = make_case(image, np.zeros((32, 32), np.uint8), case_id)
        return {**case_statistics(case, DAGM), "content": case_id, **changes}

    return describe


@pytest.fixture
def write_cases(tmp_path):
    """A function: split, statistics of its cases -> a shard of one record per case and file."""

    def write(split: str, cases: list[dict[str, object]]):
        from beam_preprocess.record_files import RecordWriter
        from beam_preprocess.records import encode_example

        folder = tmp_path / "cases" / f"Split-{split}"
        folder.mkdir(parents=True, exist_ok=True)
        for i, case in enumerate(cases):
            with RecordWriter(folder / f"records-{i:05d}-of-{len(cases):05d}.gz") as writer:
                writer.write(encode_example(case))
        return tmp_path / "cases"

    return write


@pytest.fixture
def read(data_gate, tmp_path):
    """A function: folder of anomalies, splits -> the lines."""
    from components.schemas import statistics_schema

    def lines(folder, splits: list[str]) -> list[str]:
        cases, schema = tmp_path / "cases", statistics_schema(DAGM)
        return data_gate.read_anomalies(folder, splits, cases=cases, schema=schema)

    return lines


HIGH = ("Out-of-range values", "Unexpectedly high value: 9>5.")
LOW = ("Out-of-range values", "Unexpectedly small value: 5.")
LINES = [
    "fold-0: size_z: Out-of-range values: Unexpectedly small value: 5.",
    "fold-0: spacing_x: Out-of-range values: Unexpectedly high value: 9>5.",
    "test: size_z: Out-of-range values: Unexpectedly small value: 5.",
]


def test_anomalies_of_all_splits_by_split_and_name(read, write_anomalies):
    write_anomalies("test", {"size_z": LOW})
    write_anomalies("fold-1", {})
    folder = write_anomalies("fold-0", {"spacing_x": HIGH, "size_z": LOW})
    assert read(folder, ["test", "fold-1", "fold-0"]) == [LINES[2], *LINES[:2]]


def test_cases_of_the_split_are_named(read, write_anomalies, write_cases, photograph):
    folder = write_anomalies("fold-0", {"size_y": LOW})
    write_anomalies("fold-1", {"size_y": LOW})
    write_cases("fold-0", [photograph("a"), photograph("b", size_y=5), photograph("c", size_y=7)])
    write_cases("fold-1", [photograph("d", size_y=9)])
    words = "size_y: Out-of-range values: Unexpectedly small value"
    assert read(folder, ["fold-0", "fold-1"]) == [
        f"fold-0: b: {words}: 5.",
        f"fold-0: c: {words}: 7.",
        f"fold-1: d: {words}: 9.",
    ]


def test_no_anomalies(read, write_anomalies):
    assert read(write_anomalies("fold-0", {}), ["fold-0"]) == []


def test_split_that_was_not_validated_is_an_error(read, write_anomalies):
    folder = write_anomalies("fold-0", {})
    with pytest.raises(FileNotFoundError, match="Split-fold-1"):
        read(folder, ["fold-0", "fold-1"])


def test_message_lists_them_all(data_gate):
    error = data_gate.AnomalyError(LINES)
    first, *lines, remedy = str(error).splitlines()
    assert first == "anomalies in the case statistics, nothing was trained:"
    assert lines == [f"  {i}. {line}" for i, line in enumerate(LINES, 1)]
    assert "data.exclude" in remedy and "widen the `limits` of the dataset" in remedy
    assert isinstance(error, ValueError) and error.anomalies == LINES


@pytest.fixture
def run(data_gate, artifact, tmp_path):
    """A function: folder of anomalies -> the gate has run on it; the folder of the approval."""
    from components.schemas import schema_text

    def run_on(folder):
        (tmp_path / "schema").mkdir()
        (tmp_path / "schema" / "schema.pbtxt").write_text(schema_text("statistics", DAGM))
        inputs = {
            "anomalies": [artifact("ExampleAnomalies", folder)],
            "case_statistics": [artifact("Examples", tmp_path / "cases")],
            "schema": [artifact("Schema", tmp_path / "schema")],
        }
        splits = sorted(p.name.removeprefix("Split-") for p in folder.glob("Split-*"))
        inputs["anomalies"][0].split_names = json.dumps(splits)
        outputs = {"approval": [data_gate.DataApproval()]}
        outputs["approval"][0].uri = str(tmp_path / "out")
        data_gate.DataGateExecutor().Do(inputs, outputs, {"fingerprint": "f00"})
        return tmp_path / "out"

    return run_on


def test_gate_opens(run, write_anomalies):
    write_anomalies("fold-0", {})
    out = run(write_anomalies("fold-1", {}))
    assert [p.name for p in out.iterdir()] == ["APPROVED"]


def test_gate_stays_closed(data_gate, run, write_anomalies, tmp_path):
    write_anomalies("fold-0", {})
    folder = write_anomalies("fold-1", {"spacing_x": HIGH})
    with pytest.raises(data_gate.AnomalyError, match=r"1\. fold-1: spacing_x: Out-of-range"):
        run(folder)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def validate(artifact, tmp_path):
    """A function: folder of case statistics -> that of the anomalies, by TFX's own components."""
    from tfx.components.example_validator.executor import Executor as ExampleValidator
    from tfx.components.statistics_gen.executor import Executor as StatisticsGen
    from tfx.components.util import examples_utils
    from tfx.proto import example_gen_pb2

    from components.schemas import schema_text

    context = StatisticsGen.Context(
        beam_pipeline_args=["--runner=DirectRunner", "--direct_running_mode=in_memory"],
        tmp_dir=str(tmp_path / "tmp"),
    )

    def run_components(cases):
        made = {
            "examples": [artifact("Examples", cases)],
            "statistics": [artifact("ExampleStatistics", tmp_path / "statistics")],
            "schema": [artifact("Schema", tmp_path / "validated-schema")],
            "anomalies": [artifact("ExampleAnomalies", tmp_path / "anomalies")],
        }
        (examples,) = made["examples"]
        examples.split_names = json.dumps(sorted(p.name[len("Split-") :] for p in cases.iterdir()))
        examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
        examples_utils.set_file_format(examples, "tfrecords_gzip")
        (tmp_path / "validated-schema").mkdir()
        schema = tmp_path / "validated-schema" / "schema.pbtxt"
        schema.write_text(schema_text("statistics", DAGM))
        nothing = {"exclude_splits": "[]"}
        StatisticsGen(context).Do(made, made, dict(nothing))
        ExampleValidator().Do(made, made, dict(nothing))
        return tmp_path / "anomalies"

    return run_components


def test_gate_reads_what_example_validator_writes(
    data_gate, run, validate, write_cases, photograph
):
    """A voxel of 9 mm in one of three photographs of one fold."""
    write_cases("fold-0", [photograph("a"), photograph("b")])
    bad = photograph("d", spacing_x=9.0)
    anomalies = validate(write_cases("fold-1", [photograph("c"), bad, photograph("e")]))
    with pytest.raises(data_gate.AnomalyError) as closed:
        run(anomalies)
    assert closed.value.anomalies == [
        "fold-1: d: spacing_x: Out-of-range values: Unexpectedly high value: 9>1"
        "(upto six significant digits)"
    ]


def test_component_is_cached_by_its_code(data_gate):
    from tfx.types import Channel, standard_artifacts

    channels = {
        "anomalies": Channel(type=standard_artifacts.ExampleAnomalies),
        "case_statistics": Channel(type=standard_artifacts.Examples),
        "schema": Channel(type=standard_artifacts.Schema),
    }
    node = data_gate.DataGate(*channels.values(), fingerprint="f00")
    assert node.exec_properties == {"fingerprint": "f00"}
    assert node.inputs == channels and set(node.outputs) == {"approval"}
