"""`unet-tfx predict`: a case or a photograph in, a label map in its own grid out."""

import logging
from collections.abc import Sequence
from glob import escape
from pathlib import Path

from jsonargparse import ArgumentParser

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
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs the command. Returns the exit status."""
    options = make_parser().parse_args(list(argv))
    logging.basicConfig(level=logging.WARNING)
    predict_file(Path(options.model), Path(options.input), Path(options.output))
    print(options.output)
    return 0


def predict_file(model_path: Path, source: Path, output: Path) -> None:
    """Segments the case at `source` and writes its label map to `output`, atomically.

    Raises:
      ValueError: The model was not pushed by us or is damaged, the input is not what it takes, or
        the output's ending is not that of its label maps.
    """
    from beam_preprocess.datasets import get_reader

    model_path = newest_version(model_path)
    dataset = get_reader(read_metadata(model_path).dataset)
    endings = dataset.info.label_suffixes
    if not output.name.endswith(endings):
        raise ValueError(f"output must end in {' or '.join(endings)}, got {str(output)!r}")
    if not any(source.parent.glob(f"{escape(source.name)}*")):  # nnU-Net's CASE is no file
        raise ValueError(f"input must exist, got {str(source)!r}")
    case = dataset.read_image(source)
    if output.resolve() in [path.resolve() for path in case.files.images]:
        raise ValueError(f"output must not be a file of the input, got {str(output)!r}")

    from trainer.serving import LoadedModel

    dataset.write_label(LoadedModel(model_path).predict(case.image), case, output)
