"""TFX's Transform, whose records we write: the graph's own results, whole files, same bytes."""

import json

import numpy as np
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def transform():
    """The module; it imports TFX."""
    from components import transform

    return transform


def test_node_runs_our_executor(transform):
    ours = transform.RecordTransformExecutor
    assert transform.RecordTransform.EXECUTOR_SPEC.executor_class is ours


@pytest.fixture
def do(transform, artifact, make_case, tmp_path):
    """Runs the executor on five photographs."""
    import tensorflow as tf
    from tfx.components.util import examples_utils
    from tfx.proto import example_gen_pb2

    from beam_preprocess.datasets.dagm import DAGM
    from beam_preprocess.records import encode_raw
    from components.schemas import schema_text

    path = tmp_path / "examples" / "Split-fold-0" / "records-00000-of-00001.gz"
    path.parent.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for n in range(5):
            case = make_case(np.full((4, 4, 1), n, np.uint8), np.zeros((4, 4), np.uint8), f"p-{n}")
            writer.write(encode_raw(case, foreground="all"))
    examples = artifact("Examples", tmp_path / "examples")
    examples.split_names = '["fold-0"]'
    examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
    examples_utils.set_file_format(examples, "tfrecords_gzip")
    schema = artifact("Schema", tmp_path / "schema")
    (tmp_path / "schema").mkdir()
    (tmp_path / "schema" / "schema.pbtxt").write_text(schema_text("records", DAGM))
    settings = {"profile": "corrected", "clip_percentiles": [0.5, 99.5], "channels": 1}
    settings |= {"foreground": "all", "label_values": [0, 255], "label_aliases": {}}
    settings["quantised"] = True
    context = transform.RecordTransformExecutor.Context(
        beam_pipeline_args=["--runner=DirectRunner", "--direct_running_mode=in_memory"],
        tmp_dir=str(tmp_path / "tmp"),
        unique_id="1",
    )

    def run():
        transform.RecordTransformExecutor(context).Do(
            {"examples": [examples], "schema": [schema]},
            {
                "transform_graph": [artifact("TransformGraph", tmp_path / "graph")],
                "transformed_examples": [artifact("Examples", tmp_path / "out")],
            },
            {
                "preprocessing_fn": "beam_preprocess.preprocessing.preprocessing_fn",
                "custom_config": json.dumps(settings),
                "splits_config": '{"analyze": ["fold-0"], "transform": ["fold-0"]}',
                "disable_statistics": 1,
                "force_tf_compat_v1": 0,
            },
        )
        return settings

    return run


def test_every_record_is_transformed(do, tmp_path):
    import tensorflow as tf

    from beam_preprocess.records import decode_example

    do()
    files = [str(p) for p in (tmp_path / "out" / "Split-fold-0").iterdir()]
    records = tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator()
    decoded = {r["case_id"][0]: r["X"][0] for r in map(decode_example, records)}
    assert decoded == {f"p-{n}".encode(): bytes([n] * 16) for n in range(5)}


def test_records_are_those_of_the_preprocessing_function(do, tmp_path):
    """The transform graph, as it was written, gives what its source gives."""
    import tensorflow as tf

    from beam_preprocess.preprocessing import preprocessing_fn
    from beam_preprocess.record_files import read_records
    from beam_preprocess.records import decode_example, raw_feature_spec

    settings = do()
    name = "Split-fold-0/records-00000-of-00001.gz"
    raw = list(read_records(tmp_path / "examples" / name))
    for before, after in zip(raw, read_records(tmp_path / "out" / name), strict=True):
        batch = tf.io.parse_example([before], raw_feature_spec(2))
        expected = {k: v[0].numpy() for k, v in preprocessing_fn(batch, settings).items()}
        found = decode_example(after)
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            np.testing.assert_array_equal(np.squeeze(found[key]), value)


def test_second_run_gives_the_same_bytes(do, tmp_path):
    do()
    path = tmp_path / "out" / "Split-fold-0" / "records-00000-of-00001.gz"
    first = path.read_bytes()
    do()
    assert path.read_bytes() == first
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_broken_file_of_records_is_told(do, tmp_path):
    path = tmp_path / "examples" / "Split-fold-0" / "records-00000-of-00001.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match="must be a complete TFRecord file"):
        do()
    assert not list((tmp_path / "out").rglob("*.gz"))
