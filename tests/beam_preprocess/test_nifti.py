"""NIfTI files: voxels as stored, one message for whatever is wrong with a file."""

import gzip
import hashlib

import nibabel as nib
import numpy as np
import pytest

from beam_preprocess.nifti import read_nifti, write_nifti

AFFINE = np.array([[-2.0, 0, 0, 5], [0, -1.5, 0, 7], [0, 0, 3, -9], [0, 0, 0, 1]])
VOXELS = np.arange(-12, 48, dtype=np.int16).reshape(3, 4, 5)


@pytest.fixture
def content():
    """Bytes of an uncompressed file: 352 of header, 120 of voxels."""
    return nib.Nifti1Image(VOXELS, AFFINE).to_bytes()


@pytest.fixture
def read(tmp_path):
    """Reads bytes as a file of a given name."""

    def read_bytes(name, data):
        (tmp_path / name).write_bytes(data)
        return read_nifti(tmp_path / name)

    return read_bytes


def test_voxels_affine_spacing_and_hash(read, content):
    packed = gzip.compress(content)
    for name, data in (("a.nii", content), ("a.nii.gz", packed)):
        volume = read(name, data)
        np.testing.assert_array_equal(volume.voxels, VOXELS)
        assert volume.voxels.dtype == np.int16
        np.testing.assert_array_equal(volume.affine, AFFINE)
        assert volume.affine.dtype == np.float64
        assert volume.spacing == (2.0, 1.5, 3.0)
        assert volume.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("dtype", ["uint8", "int8", ">i2", "uint16", "int32", "float32", "float64"])
def test_type_stays_as_stored(read, dtype):
    voxels = np.arange(8).astype(dtype).reshape(2, 2, 2)
    header = nib.Nifti1Header(endianness=">" if dtype.startswith(">") else "<")
    header.set_data_dtype(dtype)
    volume = read("a.nii", nib.Nifti1Image(voxels, np.eye(4), header).to_bytes())
    assert volume.voxels.dtype.name == np.dtype(dtype).name
    np.testing.assert_array_equal(volume.voxels, np.arange(8).reshape(2, 2, 2))


def test_scaled_voxels_become_float(read):
    """With slope 0.5 and intercept 3, a stored 10 means 8."""
    image = nib.Nifti1Image(np.full((2, 2, 2), 10, np.int16), np.eye(4))
    data = bytearray(image.to_bytes())
    data[112:120] = np.array([0.5, 3], "<f4").tobytes()
    voxels = read("a.nii", bytes(data)).voxels
    assert np.issubdtype(voxels.dtype, np.floating) and (voxels == 8).all()


def test_every_truncation_is_told(read, content):
    packed = gzip.compress(content)
    for name, data in (("a.nii", content), ("a.nii.gz", packed)):
        for length in range(0, len(data), 5):
            with pytest.raises(ValueError, match=r"^is no complete NIfTI file: \S"):
                read(name, data[:length])


@pytest.mark.parametrize("length", [0, 100, 348, 352, 471])
def test_packed_after_truncation(read, content, length):
    with pytest.raises(ValueError, match=r"^is no complete NIfTI file: \S"):
        read("a.nii.gz", gzip.compress(content[:length]))


def test_every_corrupt_byte_of_the_stream_is_told(read, content):
    """The checksum at the end leaves no change of the packed voxels unseen."""
    packed = gzip.compress(content, mtime=0)
    for position in range(10, len(packed)):
        damaged = bytearray(packed)
        damaged[position] ^= 0xFF
        with pytest.raises(ValueError, match=r"^is no complete NIfTI file: \S"):
            read("a.nii.gz", bytes(damaged))


@pytest.mark.parametrize("data", [b"text", b"<html>" * 200, bytes(352)])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_no_nifti(read, name, data):
    with pytest.raises(ValueError, match=r"^is no complete NIfTI file: "):
        read(name, data)


def test_packed_and_plain_mistaken_for_each_other(read, content):
    with pytest.raises(ValueError, match=r"^is no complete NIfTI file: "):
        read("a.nii", gzip.compress(content) + bytes(400))
    with pytest.raises(ValueError, match=r"^is no complete NIfTI file: "):
        read("a.nii.gz", content)


def test_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r"^is no complete NIfTI file: .*No such file") as error:
        read_nifti(tmp_path / "a.nii")
    assert isinstance(error.value.__cause__, FileNotFoundError)


@pytest.mark.parametrize("name", ["a.nii", "b/a.nii.gz"])
def test_write_and_read(tmp_path, name):
    path = tmp_path / name
    label = (VOXELS % 5).astype(np.uint8)
    write_nifti(label, AFFINE, path)
    volume = read_nifti(path)
    np.testing.assert_array_equal(volume.voxels, label)
    assert volume.voxels.dtype == np.uint8
    np.testing.assert_array_equal(volume.affine, AFFINE)
    assert nib.load(path).header.get_xyzt_units()[0] == "mm"
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert (path.read_bytes()[:2] == b"\x1f\x8b") == name.endswith(".gz")


def test_spacing_is_that_of_the_affine(tmp_path):
    """With a sform alone, the zooms of the header say 1 mm whatever the voxels measure."""
    image = nib.Nifti1Image(np.ones((2, 3, 4), np.int16), None)
    image.header.set_sform(np.diag([2.0, 3.0, 4.0, 1.0]), code=1)
    image.header.set_qform(None, code=0)
    nib.save(image, tmp_path / "a.nii")
    volume = read_nifti(tmp_path / "a.nii")
    np.testing.assert_array_equal(volume.affine, np.diag([2, 3, 4, 1]))
    assert volume.spacing == (2.0, 3.0, 4.0)
