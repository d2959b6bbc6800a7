"""What can be asked for beside the log, and libraries that are missing for it."""

import sys
from pathlib import Path

import pytest

from trainer.tracking_config import TrackingConfig, require_libraries


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_steps": -1}, r"^trainer\.tracking\.image_steps must be 0 or more, got -1$"),
        (
            {"profile_steps": (3,)},
            r"^trainer\.tracking\.profile_steps must be empty, or .* \(3,\)$",
        ),
        ({"profile_steps": (0, 3)}, r"a first step of 1 or more .* got \(0, 3\)$"),
        ({"profile_steps": (5, 3)}, r"a last one not before it, got \(5, 3\)$"),
        ({"mlflow_uri": "http://host"}, r"^trainer\.tracking\.mlflow must be the name .* got ''$"),
        (
            {"mlflow": "x", "mlflow_uri": "http://me:secret@host"},
            r"^trainer\.tracking\.mlflow_uri must have no password or token: set MLFLOW_T",
        ),
        ({"mlflow": "x", "mlflow_uri": "http://secret@host"}, r"must have no password or token"),
        ({"mlflow": "x", "mlflow_uri": "http://host?t=secret"}, r"must have no password or token"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        TrackingConfig(**options)
    assert "secret" not in str(error.value)


def test_profile_of_one_step_is_one() -> None:
    assert TrackingConfig(profile_steps=(1, 1)).profile_steps == (1, 1)


@pytest.mark.parametrize(("name", "package"), [("mlflow", "mlflow-skinny"), ("wandb", "wandb")])
def test_missing_library_names_package_option_and_remedy(
    name: str, package: str, monkeypatch, tmp_path: Path
) -> None:
    """A folder of the library's name, such as W&B leaves behind, is not the library."""
    (tmp_path / name).mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, name, raising=False)
    require_libraries(TrackingConfig())
    message = (
        rf"^trainer\.tracking\.{name} 'scans' needs the Python package {package}, it is missing:"
        r" pip install 'unet-tfx\[tracking\]', or leave that option empty$"
    )
    with pytest.raises(ValueError, match=message):
        require_libraries(TrackingConfig(**{name: "scans"}))


def test_installed_libraries_are_found() -> None:
    require_libraries(TrackingConfig(mlflow="scans", wandb="scans"))
