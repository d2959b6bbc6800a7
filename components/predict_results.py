"""The folders of the results of `unet-tfx predict`: what made them, which are there, of what input.

In each, that of the label maps and that of the probabilities, `prediction.json` tells which model
made them, and how; `prediction.jsonl` has a line per case that is complete. A run that was cut off
goes on after the last one of them.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from beam_preprocess.atomic import write_text
from components.predict_inputs import PredictionInput
from trainer.config import InferenceConfig
from trainer.model_folder import model_fingerprint

MADE_BY = "prediction.json"
DONE = "prediction.jsonl"
Stamps = list[list[Any]]
"""Name, size and time of change of every file that a case is read from."""
Done = Mapping[str, Mapping[str, Any]]
"""Case -> the line of a folder that tells of its result."""


@dataclass(frozen=True, kw_only=True)
class ResultFolder:
    """Where the results of many cases are: in one folder, or in two.

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

    @property
    def folders(self) -> dict[str, Path]:
        """Option that names a folder -> the folder."""
        more = {"probabilities": self.probabilities} if self.probabilities else {}
        return {"output": self.labels, **more}

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
        for name, folder in self.folders.items():
            place = folder.resolve()
            inside = source.is_dir() and place.is_relative_to(source.resolve())
            if inside or place in taken:
                raise ValueError(
                    f"{name} must lie outside of the folders of the input, got {str(folder)!r}"
                )
            if name != "output" and place == self.labels.resolve():
                raise ValueError(f"{name} must be another folder than output, got {str(folder)!r}")

    def claim(self, model: Path, inference: InferenceConfig) -> dict[str, Any]:
        """What makes the results, for `begin`: a folder is new, or was begun by the same.

        Raises:
          ValueError: One holds something else.
        """
        made_by = {
            "model": str(model.resolve()),
            "model_fingerprint": model_fingerprint(model),
            "inference": json.loads(json.dumps(asdict(inference))),  # tuples are lists in JSON
        }
        for name, folder in self.folders.items():
            if (folder / MADE_BY).is_file():
                _require_same(_read(folder / MADE_BY), made_by, folder)
            elif folder.is_dir() and any(folder.iterdir()):
                raise ValueError(
                    f"{name} must be a new or empty folder, or one that unet-tfx predict began, got"
                    f" {str(folder)!r}, which holds other files"
                )
        return made_by

    def begin(self, made_by: Mapping[str, Any]) -> None:
        """Tells in the folders what makes their results, unless they do already."""
        for folder in self.folders.values():
            if not (folder / MADE_BY).is_file():
                write_text(folder / MADE_BY, json.dumps(made_by, indent=1))

    def done(self) -> list[Done]:
        """Of every folder, the lines that tell of results that are complete.

        A last line that was torn off is cut.
        """
        return [_read_done(folder / DONE) for folder in self.folders.values()]

    def has(self, case: PredictionInput, done: Sequence[Done]) -> bool:
        """Whether the results of a case are there, made of its files as they are now.

        Args:
          case: The case.
          done: What `done` gave.

        Raises:
          ValueError: They are those of another case of the same name.
        """
        for folder, lines in zip(self.folders.values(), done, strict=True):
            _require_same_case(case, lines, folder)
        paths = [self.label_of(case), self.probabilities_of(case)]
        there = all(case.name in lines for lines in done) and all(p.is_file() for p in paths if p)
        now = take_stamps(case) if there else []
        return there and all(lines[case.name]["files"] == now for lines in done)

    def add(self, case: PredictionInput, stamps: Stamps, seconds: float) -> None:
        """Tells that the results of a case are complete.

        Args:
          case: The case.
          stamps: Of its files, from before they were read.
          seconds: That it took.
        """
        line = {"case": case.name, "input": case.source, "files": stamps}
        text = json.dumps(line | {"seconds": round(seconds, 3)}) + "\n"
        for folder in self.folders.values():
            with (folder / DONE).open("a", encoding="utf-8") as file:
                file.write(text)


def _read_done(path: Path) -> Done:
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        write_text(path, whole)
    lines = [
        _read_line(line, f"line {n} of {path}") for n, line in enumerate(whole.split("\n")[:-1], 1)
    ]
    return {line["case"]: line for line in lines}


def _read_line(text: str, place: str) -> dict[str, Any]:
    try:
        line = json.loads(text)
        return {name: line[name] for name in ("case", "input", "files", "seconds")}
    except (ValueError, KeyError, TypeError) as e:
        raise ValueError(
            f"{place} must tell of the result of a case, got {text[:80]!r}: remove the line, its"
            " case is then predicted again"
        ) from e


def _require_same_case(case: PredictionInput, lines: Done, folder: Path) -> None:
    """Raises ValueError where the result of that name is one of another case."""
    known = lines[case.name]["input"] if case.name in lines else case.source
    if known != case.source:
        raise ValueError(
            f"results in {str(folder)!r} must be those of one case each, {case.name!r} is there of"
            f" {known!r} and now {case.source!r}: predict into another folder"
        )


def take_stamps(case: PredictionInput) -> Stamps:
    """The stamps of the files of a case, as they are now."""
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
