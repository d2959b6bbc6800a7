"""What TensorBoard is given: read back from its files."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from trainer.model_config import ModelConfig
from trainer.tracking.tensorboard import Profile, TensorBoard
from trainer.unet import build_unet


def events(folder: Path) -> Iterator[tf.compat.v1.Event]:
    for path in sorted(folder.glob("events.*")):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            yield tf.compat.v1.Event.FromString(record)


def values(folder: Path) -> dict[str, list[tuple[int, np.ndarray]]]:
    found: dict[str, list[tuple[int, np.ndarray]]] = {}
    for event in events(folder):
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, tf.make_ndarray(value.tensor)))
    return found


@pytest.fixture
def board(tmp_path: Path) -> TensorBoard:
    return TensorBoard(tmp_path)


def test_scalars_have_their_steps(board: TensorBoard, tmp_path: Path) -> None:
    board.write(2, {"loss": 3.0, "validation_dice/1": 0.5})
    board.write(4, {"loss": 1.5})
    board.close(None)
    assert values(tmp_path) == {"loss": [(2, 3.0), (4, 1.5)], "validation_dice/1": [(2, 0.5)]}


def test_picture_is_what_was_drawn_and_says_what_is_what(board: TensorBoard, tmp_path) -> None:
    drawn = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    board.picture(7, drawn)
    board.close(None)
    [(step, content)] = values(tmp_path)["prediction"]
    assert step == 7 and list(content[:2]) == [b"8", b"6"]  # width, height, PNG
    np.testing.assert_array_equal(tf.io.decode_png(content[2]), drawn)
    [described] = [v.metadata for e in events(tmp_path) for v in e.summary.value]
    assert "Class 1 is red" in described.summary_description
    assert described.plugin_data.plugin_name == "images"


def test_graph_is_that_of_the_network(board: TensorBoard, tmp_path: Path) -> None:
    network = build_unet(ModelConfig(rank=2, in_channels=1, classes=1, filters=(2, 4)))
    board.graph(network, (8, 8, 1))
    board.close(None)
    [content] = [e.graph_def for e in events(tmp_path) if e.graph_def]
    nodes = {node.name: node.op for node in tf.compat.v1.GraphDef.FromString(content).node}
    assert nodes["image"] == "Placeholder"
    convolutions = [name for name, op in nodes.items() if op == "Conv2D"]
    assert any("encoder0" in name for name in convolutions)
    assert any("head" in name for name in convolutions)


@pytest.mark.parametrize("last", [3, 9])
def test_profile_is_where_the_plug_in_looks(tmp_path: Path, last: int) -> None:
    """Of steps 2 to 3, and of a training that ended in step 4 before its profile did."""
    profile = Profile((2, last), tmp_path)
    for number in range(1, 5):
        with profile.step(number):
            tf.constant(1.0) + number
        written = list(tmp_path.glob("plugins/profile/*/*.xplane.pb"))
        assert len(written) == (number >= last)
    profile.close()
    profile.close()
    [path] = tmp_path.glob("plugins/profile/*/*.xplane.pb")
    assert b"train" in path.read_bytes()


def test_no_profile_where_none_is_asked_for(tmp_path: Path) -> None:
    profile = Profile((), tmp_path)
    with profile.step(1):
        pass
    profile.close()
    assert not list(tmp_path.iterdir())
