"""By what name MLflow and W&B know a training, kept in its folder: a resumed one goes on in it."""

import json

from beam_preprocess.atomic import write_text
from trainer.run_folder import RunFolder


def read_run_id(folder: RunFolder, key: str) -> str | None:
    """The id that was written for `key`, which names the service and the place there."""
    return _read(folder).get(key)


def write_run_id(folder: RunFolder, key: str, run_id: str) -> None:
    """Keeps an id beside those of other keys."""
    write_text(folder.run_ids, json.dumps(_read(folder) | {key: run_id}, indent=1))


def _read(folder: RunFolder) -> dict[str, str]:
    path = folder.run_ids
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
