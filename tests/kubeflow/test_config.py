"""Which images, paths and names a cluster can have."""

from dataclasses import replace

import pytest

from kubeflow.config import ClusterConfig, check_run
from pipeline.recipes import brats

DIGEST = "@sha256:" + "0123456789abcdef" * 4


def on_cluster(name="brats", root="/mnt/data"):
    config = brats()
    return replace(config, name=name, data=replace(config.data, root=root))


def test_the_default_image_is_of_this_version():
    name, _, tag = ClusterConfig().image.partition(":")
    assert name == "unet-tfx" and tag[0].isdigit()


@pytest.mark.parametrize(
    "image",
    [
        "unet-tfx",
        "unet-tfx:0.1.0",
        "a_team/unet_tfx:v1",
        "localhost:5000/unet-tfx",
        "registry.example.com:5000/team/unet-tfx:0.1.0" + DIGEST,
    ],
)
def test_images(image):
    assert ClusterConfig(image=image).image == image


@pytest.mark.parametrize("image", ["", "Team/UNet:1", "unet tfx", "a:b:c", "unet-tfx:", "a//b"])
def test_wrong_images(image):
    with pytest.raises(ValueError, match=r"^image must be the name of a container image"):
        ClusterConfig(image=image)


@pytest.mark.parametrize("field", ["serving", "state"])
@pytest.mark.parametrize("path", ["", "runs/brats", "gs://bucket/models"])
def test_wrong_paths(field, path):
    with pytest.raises(ValueError, match=rf"^{field} must be an absolute path.*got '{path}'"):
        ClusterConfig(**{field: path})


def test_runs_that_a_cluster_takes():
    check_run(on_cluster())
    check_run(on_cluster(name="a" * 128))


@pytest.mark.parametrize("name", ["brats-", "a" * 129])
def test_names_that_only_work_locally(name):
    with pytest.raises(ValueError, match=r"^name must be at most 128 of a-z"):
        check_run(on_cluster(name=name))


@pytest.mark.parametrize("root", ["", "demo/data/brats"])
def test_data_that_only_this_machine_sees(root):
    with pytest.raises(ValueError, match=r"^data.root must be an absolute path"):
        check_run(on_cluster(root=root))
