"""What the datasets of photographs share: reading an image file, and a case of image and mask."""

import hashlib
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from beam_preprocess.atomic import atomic_path
from beam_preprocess.case import Case, CaseFiles, DataError, Problem


def read_grey(case_id: str, path: Path) -> tuple[NDArray[np.uint8], dict[str, str]]:
    """Reads an 8-bit grey image -> ([H, W] uint8, {file name: sha256}). Raises DataError."""
    pixels, mode, sources = read_pixels(case_id, path)
    if pixels.ndim != 2 or pixels.dtype != np.uint8:
        rule = f"an image must be 8-bit grey, {path.name} has mode {mode}"
        raise DataError([Problem(case_id=case_id, rule=rule, path=str(path))])
    return pixels.astype(np.uint8, copy=False), sources


def read_pixels(
    case_id: str, path: Path, *, indexed: bool = False
) -> tuple[NDArray[np.generic], str, dict[str, str]]:
    """Reads an image file -> ([H, W] or [H, W, C], Pillow's mode, {file name: sha256}).

    Palettes and bilevel images become 8-bit grey; with `indexed`, palettes become their indices.
    Pillow cuts colours of 16 bits to 8: their mode ends in ";16", so that callers can refuse them.

    Raises:
      DataError: The file is unreadable, truncated, no image, or holds several (a TIFF of pages).
    """
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            count, mode = _count_images(image), _stored_mode(image)
            grey = image.mode == "1" or (image.mode == "P" and not indexed)
            pixels = np.asarray(image.convert("L") if grey else image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as e:
        known = not isinstance(e, UnidentifiedImageError)  # its words are a memory address
        rule = f"{path.name} is no complete image: {e if known else 'its format is unknown'}"
        raise DataError([Problem(case_id=case_id, rule=rule, path=str(path))]) from e
    if count > 1:
        rule = f"a file must hold one image, {path.name} has {count}"
        remedy = "save every page as a file of its own, or leave the case out with data.exclude"
        raise DataError([Problem(case_id=case_id, rule=rule, path=str(path), remedy=remedy)])
    return pixels, mode, {path.name: hashlib.sha256(content).hexdigest()}


def _count_images(image: Image.Image) -> int:
    """Pages of a TIFF, frames of a PNG. The others of a camera's MPO are previews of the first."""
    return 1 if image.format == "MPO" else getattr(image, "n_frames", 1)


def _stored_mode(image: Image.Image) -> str:
    """Pillow's mode; with ";16" behind it where 16 bits of a colour will be cut to 8 on reading."""
    is_cut = not image.mode.startswith("I") and ";16" in str(getattr(image, "tile", ""))
    return f"{image.mode};16" if is_cut else image.mode


def check_same_size(
    files: CaseFiles, image: NDArray[np.generic], label: NDArray[np.generic], label_path: Path
) -> list[Problem]:
    """Image [H, W, C] and mask [H, W] must have one height and width."""
    if label.shape == image.shape[:2]:
        return []
    rule = (
        f"image and mask must have one shape, {label_path.name} has {label.shape}"
        f" and {files.images[0].name} has {image.shape[:2]}"
    )
    return [Problem(case_id=files.case_id, rule=rule, path=str(label_path))]


def photograph_case(
    files: CaseFiles,
    image: NDArray[np.generic],
    label: NDArray[np.uint8] | None,
    sources: dict[str, str],
) -> Case:
    """A case of an image [H, W] or [H, W, C] and its label [H, W]. A pixel counts as 1 mm."""
    return Case(
        files=files,
        image=image[..., np.newaxis] if image.ndim == 2 else image,
        label=label,
        affine=np.eye(4),
        spacing=(1.0, 1.0),
        sources=sources,
    )


def write_mask(label: NDArray[np.uint8], path: Path) -> None:
    """Writes label values [H, W] as an 8-bit PNG, atomically."""
    with atomic_path(path) as temporary:
        Image.fromarray(label).save(temporary, format="PNG")
