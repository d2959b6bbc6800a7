"""The folder of the results of `unet-tfx predict`: what made them, which are there, of what input.

`prediction.json` tells which model made them, and how; `prediction.jsonl` has a line per case that
is complete. A run that was cut off goes on after the last one of them.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from beam_preprocess.atomic import write_text
from components.predict_inputs import PredictionInput
from trainer.config import InferenceConfig
from trainer.model_folder import model_fingerprint

MADE_BY = "prediction.json"
DONE = "prediction.jsonl"


@dataclass(frozen=True, kw_only=True)
class ResultFolder:
    """Where the results of many cases are.

    Attributes:
      labels: Folder of the label maps.
      label_suffix: Their ending.
      probabilities: Folder of the probabilities; None for none.
      probability_suffix: Their ending.
    """

    labels: Path
    label_suffix: str
    probabilities: Path | None
    probability_suffix: str

    def label_of(self, case: PredictionInput) -> Path:
        """The label map of a case."""
        return self.labels / f"{case.name}{self.label_suffix}"

    def probabilities_of(self, case: PredictionInput) -> Path | None:
        """The probabilities of a case; None where there are to be none."""
        folder = self.probabilities
        return folder / f"{case.name}{self.probability_suffix}" if folder else None

    def require_apart(self, source: Path, files: Iterable[Path]) -> None:
        """Raises ValueError where results would lie among the inputs, or all in one folder.

        Args:
          source: Of the cases; what lies in a folder of cases would be taken for cases again.
          files: Of the cases.
        """
        taken = {path.parent.resolve() for path in files}
        for name, folder in (("output", self.labels), ("probabilities", self.probabilities)):
            if folder is None:
                continue
            place = folder.resolve()
            inside = source.is_dir() and place.is_relative_to(source.resolve())
            if inside or place in taken:
                raise ValueError(
                    f"{name} must lie outside of the folders of the input, got {str(folder)!r}"
                )
            if name != "output" and place == self.labels.resolve():
                raise ValueError(f"{name} must be another folder than output, got {str(folder)!r}")

    def claim(self, model: Path, inference: InferenceConfig) -> dict[str, Any]:
        """What makes the results, for `begin`: the folder is new, or was begun by the same.

        Raises:
          ValueError: It holds something else.
        """
        path = self.labels / MADE_BY
        made_by = {
            "model": str(model.resolve()),
            "model_fingerprint": model_fingerprint(model),
            "inference": json.loads(json.dumps(asdict(inference))),  # tuples are lists in JSON
        }
        if path.is_file():
            _require_same(_read(path), made_by, self.labels)
        elif self.labels.is_dir() and any(self.labels.iterdir()):
            raise ValueError(
                "output must be a new or empty folder, or one that unet-tfx predict began, got"
                f" {str(self.labels)!r}, which holds other files"
            )
        return made_by

    def begin(self, made_by: Mapping[str, Any]) -> None:
        """Tells in the folder what makes its results, unless it does already."""
        if not (self.labels / MADE_BY).is_file():
            write_text(self.labels / MADE_BY, json.dumps(made_by, indent=1))

    def done(self) -> dict[str, dict[str, Any]]:
        """Case -> the line that tells of its results, of all that are complete.

        A last line that was torn off is cut.
        """
        path = self.labels / DONE
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            write_text(path, whole)
        lines = [json.loads(line) for line in whole.splitlines()]
        return {line["case"]: line for line in lines}

    def has(self, case: PredictionInput, done: Mapping[str, Mapping[str, Any]]) -> bool:
        """Whether the results of a case are there, made of its files as they are now.

        Args:
          case: The case.
          done: What `done` gave.

        Raises:
          ValueError: They are those of another case of the same name.
        """
        if case.name not in done:
            return False
        line = done[case.name]
        if line["input"] != case.source:
            raise ValueError(
                f"results in {str(self.labels)!r} must be those of one case each, {case.name!r} is"
                f" there of {line['input']!r} and now {case.source!r}: predict into another folder"
            )
        written = [self.label_of(case), self.probabilities_of(case)]
        there = all(path.is_file() for path in written if path)
        return there and line["files"] == _stamps(case)

    def add(self, case: PredictionInput, seconds: float) -> None:
        """Tells that the results of a case are complete."""
        line = {"case": case.name, "input": case.source, "files": _stamps(case)}
        with (self.labels / DONE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line | {"seconds": round(seconds, 3)}) + "\n")


def _stamps(case: PredictionInput) -> list[list[Any]]:
    """Name, size and time of change of every file that a case is read from."""
    stats = [(path.name, path.stat()) for path in case.files if path.exists()]
    return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {name: content[name] for name in ("model", "model_fingerprint", "inference")}
    except (ValueError, KeyError, TypeError) as e:
        raise ValueError(f"{str(path)!r} is damaged: predict into another folder ({e})") from e


def _require_same(known: Mapping[str, Any], made_by: Mapping[str, Any], folder: Path) -> None:
    """Raises ValueError unless model and settings are those that the folder was begun with."""
    if known["model_fingerprint"] != made_by["model_fingerprint"]:
        what = f"has those of another model, {known['model']!r}"
    elif known["inference"] != made_by["inference"]:
        before, now = known["inference"], made_by["inference"]
        names = sorted(n for n in before | now if before.get(n) != now.get(n))
        told = [f"inference.{n} {before.get(n)!r}, now {now.get(n)!r}" for n in names]
        what = f"has those of other settings: {'; '.join(told)}"
    else:
        return
    raise ValueError(
        f"a folder must hold results of one model and its settings, {str(folder)!r} {what}:"
        " predict into another folder"
    )
