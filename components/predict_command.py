"""`unet-tfx predict`: cases or photographs in, label maps in their own grids out."""

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from beam_preprocess.case import Case, Dataset
from components.inference_options import add_inference_options, changed_inference
from components.model import Model
from components.predict_inputs import (
    LIST_SUFFIX,
    PredictionInput,
    find_inputs,
    read_image,
    require_input,
)
from components.predict_many import Outcome, Segment, predict_many
from components.predict_results import ResultFolder
from components.probabilities import probability_suffixes, write_probabilities
from trainer.config import InferenceConfig
from trainer.model_folder import newest_version, read_metadata

_DESCRIPTION = """Segments one case, a folder of cases or a list of them with a pushed model. What
comes out has the grid and the label values of the model's dataset: a scan gives a volume with its
affine, a photograph an image. Of many cases, what is done is skipped when the command is run again,
and bad cases are told at the end without stopping the others. How a case is inferred is as the
model was exported, unless an option says otherwise. Exit status: 0 done, 1 failed or a case could
not be predicted, 2 wrong usage."""
_PATHS = {
    "--model": "pushed model: serving/, or one of its versions",
    "--input": "a case folder, a volume or a photograph, whatever the model's dataset is; or a"
    " folder of cases, in the layout of the dataset or all in one place; or a list: a .txt file"
    " with the path of a case per line",
    "--output": "for one case the file to write, with an ending of the dataset's label maps, such"
    " as .nii.gz or .png; else the folder to write one per case to",
}


def make_parser() -> ArgumentParser:
    """The parser of `unet-tfx predict`."""
    parser = ArgumentParser(
        prog="unet-tfx predict",
        usage="unet-tfx predict --model MODEL --input INPUT --output OUTPUT"
        " [--probabilities PATH]\n    [--inference.FIELD VALUE ...]",
        description=_DESCRIPTION,
        allow_abbrev=False,
    )
    for name, words in _PATHS.items():
        parser.add_argument(name, required=True, help=words)
    parser.add_argument(
        "--probabilities",
        metavar="PATH",
        help="also write the probabilities: for scans .nii.gz or .nii, a float32 volume per label"
        " value, background first; for photographs .npz. A file for one case, else a folder",
    )
    add_inference_options(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs the command. Returns the exit status."""
    parser = make_parser()
    options = parser.parse_args(list(argv))
    logging.basicConfig(level=logging.WARNING)
    prediction = _prediction(parser, options)
    source, output = Path(options.input), Path(options.output)
    probabilities = Path(options.probabilities) if options.probabilities else None
    if not _is_many(source, output, prediction.dataset.info.label_suffixes):
        predict_file(prediction, source, output, probabilities=probabilities)
        print("\n".join(filter(None, [options.output, options.probabilities])))
        return 0
    outcome = predict_folder(prediction, source, output, probabilities=probabilities)
    print(_summary(outcome, options))
    if outcome.failed:
        print(_failures(outcome), file=sys.stderr)
    return 1 if outcome.failed else 0


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What segments: a model, the reader of its dataset, and how a case is inferred.

    Attributes:
      model: The SavedModel folder.
      dataset: Reads and writes cases.
      own: How the model was exported to infer.
      inference: How it is to.
    """

    model: Path
    dataset: Dataset
    own: InferenceConfig
    inference: InferenceConfig

    def load(self) -> Model:
        """The model, built anew where it is to infer otherwise than it was exported to."""
        if self.inference == self.own:
            from trainer.serving import LoadedModel

            return LoadedModel(self.model)
        from trainer.ensemble import RebuiltModel

        return RebuiltModel(self.model, self.inference)

    def segment(
        self, model: Model, case: Case, output: Path, *, probabilities: Path | None
    ) -> None:
        """Writes the label map of a case, after its probabilities where they are wanted."""
        if probabilities:
            label, found = model.predict_probabilities(case.image)
            write_probabilities(found, case, self.dataset.info, probabilities)
        else:
            label = model.predict(case.image)
        self.dataset.write_label(label, case, output)


def _prediction(parser: ArgumentParser, options: Namespace) -> Prediction:
    """Raises ValueError for the model; ends the process where an option cannot be used."""
    from beam_preprocess.datasets import get_reader

    path = newest_version(Path(options.model))
    spec = read_metadata(path)
    try:
        inference = changed_inference(options, spec)
    except ValueError as e:
        parser.error(str(e))
    reader = get_reader(spec.dataset)
    return Prediction(model=path, dataset=reader, own=spec.inference, inference=inference)


def _is_many(source: Path, output: Path, endings: Sequence[str]) -> bool:
    """Whether there are many cases to segment; the output decides, where the input can be both.

    Raises:
      ValueError: Input and output do not go together.
    """
    listed = source.is_file() and source.suffix == LIST_SUFFIX
    if output.name.endswith(tuple(endings)) and not output.is_dir():
        if listed:
            raise ValueError(f"output must be a folder for a list of cases, got {str(output)!r}")
        return False
    if (listed or source.is_dir()) and (output.is_dir() or not output.suffix):
        return True
    require_input(source)
    raise ValueError(
        f"output must end in {' or '.join(endings)}, got {str(output)!r}; for many cases it must be"
        " a folder: make it first if its name has an ending"
    )


def predict_file(
    prediction: Prediction, source: Path, output: Path, *, probabilities: Path | None = None
) -> None:
    """Segments the case at `source` and writes its label map to `output`, atomically.

    Args:
      prediction: What segments.
      source: Of the case.
      output: Of the label map, with one of its endings.
      probabilities: Of the file for probabilities; None for none.

    Raises:
      ValueError: The model is damaged, the input is not what it takes, or a file to write has the
        wrong ending or is one of the input.
    """
    dataset = prediction.dataset
    written = [("output", output)]
    if probabilities:
        _check_ending("probabilities", probabilities, probability_suffixes(dataset.info))
        written.append(("probabilities", probabilities))
        if probabilities.resolve() == output.resolve():
            raise ValueError(f"probabilities must be another file than output, got {str(output)!r}")
    case = read_image(dataset, source)
    for name, path in written:
        if path.resolve() in [image.resolve() for image in case.files.images]:
            raise ValueError(f"{name} must not be a file of the input, got {str(path)!r}")
    prediction.segment(prediction.load(), case, output, probabilities=probabilities)


def _check_ending(name: str, path: Path, endings: Sequence[str]) -> None:
    if not path.name.endswith(tuple(endings)):
        raise ValueError(f"{name} must end in {' or '.join(endings)}, got {str(path)!r}")


def predict_folder(
    prediction: Prediction, source: Path, output: Path, *, probabilities: Path | None = None
) -> Outcome:
    """Segments the cases of a folder or a list, and writes a label map per case to a folder.

    Args:
      prediction: What segments.
      source: Folder or list.
      output: Folder of the label maps, each written atomically.
      probabilities: Folder of the probabilities; None for none.

    Raises:
      ValueError: The model is damaged, there are no cases, two have one name, or the folders to
        write hold something else.
    """
    info = prediction.dataset.info
    endings = probability_suffixes(info)
    if probabilities and probabilities.name.endswith(endings) and not probabilities.is_dir():
        raise ValueError(
            f"probabilities must be a folder for many cases, got {str(probabilities)!r}"
        )
    inputs = find_inputs(prediction.dataset, source)
    results = ResultFolder(
        labels=output,
        label_suffix=info.label_suffixes[0],
        probabilities=probabilities,
        probability_suffix=endings[0],
    )
    results.require_apart(source, (path for case in inputs.cases for path in case.files))
    made_by = results.claim(prediction.model, prediction.inference)

    def make_segment() -> Segment:
        model = prediction.load()
        results.begin(made_by)  # not before: a damaged model makes no results

        def segment(case: Case, found: PredictionInput) -> None:
            written = results.probabilities_of(found)
            prediction.segment(model, case, results.label_of(found), probabilities=written)

        return segment

    return predict_many(inputs, results, make_segment)


def _summary(outcome: Outcome, options: Namespace) -> str:
    """What was done, for stdout."""
    counts = [(outcome.predicted, "predicted"), (outcome.before, "done before")]
    counts.append((len(outcome.failed), "could not be predicted"))
    told = ", ".join(f"{n} {what}" for n, what in counts if n or what == "predicted")
    lines = [f"cases          {told}", f"label maps     {options.output}"]
    if options.probabilities:
        lines.append(f"probabilities  {options.probabilities}")
    return "\n".join(lines)


def _failures(outcome: Outcome) -> str:
    """What could not be done, why, and what to do, for stderr."""
    lines = [f"  {n}. {name}: {why}" for n, (name, why) in enumerate(outcome.failed.items(), 1)]
    head = f"unet-tfx predict: {len(lines)} case(s) could not be predicted:"
    return "\n".join([head, *lines, "The same command again predicts what is missing."])
