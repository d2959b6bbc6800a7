"""Anomalies in words, and the gate that they close."""

import json

import pytest

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
            anomalies.anomaly_info[name].short_description = short
            anomalies.anomaly_info[name].description = long
        folder = tmp_path / "anomalies" / f"Split-{split}"
        folder.mkdir(parents=True)
        (folder / "SchemaDiff.pb").write_bytes(anomalies.SerializeToString())
        return tmp_path / "anomalies"

    return write


HIGH = ("Out-of-range values", "Unexpectedly high value: 9>5.")
LOW = ("Out-of-range values", "Unexpectedly small value: 5.")
LINES = [
    "fold-0: size_z: Out-of-range values: Unexpectedly small value: 5.",
    "fold-0: spacing_x: Out-of-range values: Unexpectedly high value: 9>5.",
    "test: size_z: Out-of-range values: Unexpectedly small value: 5.",
]


def test_anomalies_of_all_splits_by_split_and_name(data_gate, write_anomalies):
    write_anomalies("test", {"size_z": LOW})
    write_anomalies("fold-1", {})
    folder = write_anomalies("fold-0", {"spacing_x": HIGH, "size_z": LOW})
    assert data_gate.describe_anomalies(folder, ["test", "fold-1", "fold-0"]) == [
        LINES[2],
        *LINES[:2],
    ]


def test_no_anomalies(data_gate, write_anomalies):
    assert data_gate.describe_anomalies(write_anomalies("fold-0", {}), ["fold-0"]) == []


def test_split_that_was_not_validated_is_an_error(data_gate, write_anomalies):
    folder = write_anomalies("fold-0", {})
    with pytest.raises(FileNotFoundError, match="Split-fold-1"):
        data_gate.describe_anomalies(folder, ["fold-0", "fold-1"])


def test_anomaly_of_the_whole_dataset(data_gate, tmp_path):
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    anomalies = anomalies_pb2.Anomalies()
    anomalies.dataset_anomaly_info.short_description = "Low num examples in dataset."
    (tmp_path / "Split-fold-0").mkdir()
    (tmp_path / "Split-fold-0" / "SchemaDiff.pb").write_bytes(anomalies.SerializeToString())
    (line,) = data_gate.describe_anomalies(tmp_path, ["fold-0"])
    assert line.startswith("fold-0: all cases: Low num examples in dataset.")


def test_message_lists_them_all(data_gate):
    error = data_gate.AnomalyError(LINES)
    first, *lines, remedy = str(error).splitlines()
    assert first == "3 anomalies in the case statistics, nothing was trained:"
    assert lines == [f"  {i}. {line}" for i, line in enumerate(LINES, 1)]
    assert "data.exclude" in remedy and "widen the limits" in remedy
    assert isinstance(error, ValueError) and error.anomalies == LINES


def run(data_gate, artifact, folder, out):
    inputs = {"anomalies": [artifact("ExampleAnomalies", folder)]}
    splits = sorted(p.name.removeprefix("Split-") for p in folder.glob("Split-*"))
    inputs["anomalies"][0].split_names = json.dumps(splits)
    outputs = {"approval": [data_gate.DataApproval()]}
    outputs["approval"][0].uri = str(out)
    data_gate.DataGateExecutor().Do(inputs, outputs, {"fingerprint": "f00"})


def test_gate_opens(data_gate, artifact, write_anomalies, tmp_path):
    write_anomalies("fold-0", {})
    run(data_gate, artifact, write_anomalies("fold-1", {}), tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["APPROVED"]


def test_gate_stays_closed(data_gate, artifact, write_anomalies, tmp_path):
    write_anomalies("fold-0", {})
    folder = write_anomalies("fold-1", {"spacing_x": HIGH})
    with pytest.raises(data_gate.AnomalyError, match=r"1\. fold-1: spacing_x: Out-of-range"):
        run(data_gate, artifact, folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_gate_reads_what_example_validator_writes(data_gate, artifact, tmp_path):
    """From case statistics through TFX's own components: a spacing of 9 mm, in one fold of two."""
    import numpy as np
    import tensorflow as tf
    from tfx.components.example_validator.executor import Executor as ExampleValidator
    from tfx.components.statistics_gen.executor import Executor as StatisticsGen
    from tfx.components.util import examples_utils
    from tfx.proto import example_gen_pb2

    from beam_preprocess.case import Case, CaseFiles
    from beam_preprocess.datasets.dagm import Dagm
    from beam_preprocess.records import encode_example
    from beam_preprocess.statistics import case_statistics
    from components.schemas import schema_text

    folders = {n: tmp_path / n for n in ("examples", "statistics", "schema", "anomalies")}
    for fold, spacing in ((0, 1.0), (1, 9.0)):
        case = Case(
            files=CaseFiles(case_id="c", group="c", stratum="s", images=(), label=None),
            image=np.arange(64 * 64, dtype=np.int64).reshape(64, 64, 1).astype(np.uint8),
            label=np.zeros((64, 64), np.uint8),
            affine=np.eye(4),
            spacing=(spacing, 1.0),
            sources={},
        )
        path = folders["examples"] / f"Split-fold-{fold}" / "records-00000-of-00001.gz"
        path.parent.mkdir(parents=True)
        with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
            writer.write(encode_example(case_statistics(case, Dagm.info)))
    folders["schema"].mkdir()
    (folders["schema"] / "schema.pbtxt").write_text(schema_text("statistics", Dagm.info))
    kinds = ("Examples", "ExampleStatistics", "Schema", "ExampleAnomalies")
    pairs = zip(folders.items(), kinds, strict=True)
    made = {name: artifact(kind, folder) for (name, folder), kind in pairs}
    made["examples"].split_names = '["fold-0", "fold-1"]'
    made["statistics"].split_names = '["fold-0", "fold-1"]'
    examples_utils.set_payload_format(made["examples"], example_gen_pb2.FORMAT_TF_EXAMPLE)
    examples_utils.set_file_format(made["examples"], "tfrecords_gzip")
    context = StatisticsGen.Context(
        beam_pipeline_args=["--runner=DirectRunner", "--direct_running_mode=in_memory"],
        tmp_dir=str(tmp_path / "tmp"),
    )
    nothing = {"exclude_splits": "[]"}

    def only(*names: str):
        return {name: [made[name]] for name in names}

    StatisticsGen(context).Do(only("examples"), only("statistics"), dict(nothing))
    ExampleValidator().Do(only("statistics", "schema"), only("anomalies"), dict(nothing))
    splits = json.loads(made["anomalies"].split_names)
    found = data_gate.describe_anomalies(folders["anomalies"], splits)
    assert len(found) == 1
    assert found[0].startswith("fold-1: spacing_x: Out-of-range values: Unexpectedly high value: 9")


def test_component_is_cached_by_its_code(data_gate):
    from tfx.types import Channel, standard_artifacts

    anomalies = Channel(type=standard_artifacts.ExampleAnomalies)
    node = data_gate.DataGate(anomalies, fingerprint="f00")
    assert node.exec_properties == {"fingerprint": "f00"}
    assert set(node.inputs) == {"anomalies"} and set(node.outputs) == {"approval"}
