"""`unet-tfx predict`: a case or a photograph in, a label map in its own grid out."""

import logging
from collections.abc import Sequence
from glob import escape
from pathlib import Path

from jsonargparse import ArgumentParser

from components.probabilities import probability_suffixes, write_probabilities
from trainer.model_folder import newest_version, read_metadata

_DESCRIPTION = """Segments one case with a pushed model. What comes out has the grid and the label
values of the model's dataset: a scan gives a volume with its affine, a photograph an image."""


def make_parser() -> ArgumentParser:
    """The parser of `unet-tfx predict`."""
    parser = ArgumentParser(prog="unet-tfx predict", description=_DESCRIPTION, allow_abbrev=False)
    parser.add_argument(
        "--model", required=True, help="pushed model: serving/, or one of its versions"
    )
    parser.add_argument(
        "--input",
        required=True,
        help="a case folder, a volume or a photograph, whatever the model's dataset is",
    )
    parser.add_argument(
        "--output",
        required=True,
        help="file to write, with an ending of the dataset's label maps, such as .nii.gz or .png",
    )
    parser.add_argument(
        "--probabilities",
        metavar="FILE",
        help="also write the probabilities: for scans .nii.gz or .nii, a float32 volume per label"
        " value, background first; for photographs .npz",
    )
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs the command. Returns the exit status."""
    options = make_parser().parse_args(list(argv))
    logging.basicConfig(level=logging.WARNING)
    output, probabilities = Path(options.output), options.probabilities
    predict_file(
        Path(options.model),
        Path(options.input),
        output,
        probabilities=Path(probabilities) if probabilities else None,
    )
    print("\n".join(filter(None, [options.output, probabilities])))
    return 0


def predict_file(
    model_path: Path, source: Path, output: Path, *, probabilities: Path | None = None
) -> None:
    """Segments the case at `source` and writes its label map to `output`, atomically.

    Args:
      model_path: What Pusher left, or one version of it.
      source: Of the case.
      output: Of the label map.
      probabilities: Of the file for probabilities; None for none.

    Raises:
      ValueError: The model was not pushed by us or is damaged, the input is not what it takes, or
        a file to write has the wrong ending or is one of the input.
    """
    from beam_preprocess.datasets import get_reader

    model_path = newest_version(model_path)
    dataset = get_reader(read_metadata(model_path).dataset)
    _check_ending("output", output, dataset.info.label_suffixes)
    written = [("output", output)]
    if probabilities:
        _check_ending("probabilities", probabilities, probability_suffixes(dataset.info))
        written.append(("probabilities", probabilities))
        if probabilities.resolve() == output.resolve():
            raise ValueError(f"probabilities must be another file than output, got {str(output)!r}")
    if not any(source.parent.glob(f"{escape(source.name)}*")):  # nnU-Net's CASE is no file
        raise ValueError(f"input must exist, got {str(source)!r}")
    case = dataset.read_image(source)
    for name, path in written:
        if path.resolve() in [image.resolve() for image in case.files.images]:
            raise ValueError(f"{name} must not be a file of the input, got {str(path)!r}")

    from trainer.serving import LoadedModel

    model = LoadedModel(model_path)
    if not probabilities:
        dataset.write_label(model.predict(case.image), case, output)
        return
    label, found = model.predict_probabilities(case.image)
    dataset.write_label(label, case, output)
    write_probabilities(found, case, dataset.info, probabilities)


def _check_ending(name: str, path: Path, endings: Sequence[str]) -> None:
    if not path.name.endswith(tuple(endings)):
        raise ValueError(f"{name} must end in {' or '.join(endings)}, got {str(path)!r}")
