"""What `unet-tfx check` writes for machines, and reads back with `--against`."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from beam_preprocess.cohort_check import CohortCheck, verdict
from beam_preprocess.cohort_summary import summarise
from beam_preprocess.difference import Difference
from pipeline.usage import UsageError

STATISTICS = "case_statistics"
_COHORT_STATISTICS = "cohort_statistics"
_SUMMARY = "summary.json"
_PACKAGES = ("unet-tfx", "numpy", "nibabel", "pillow", "scipy", "tifffile")


def check_json(check: CohortCheck, difference: Difference | None) -> str:
    """All that is known of a cohort, as JSON: the same cohort gives the same text.

    Args:
      check: The cohort.
      difference: How it differs from another one, or None.
    """
    cohort = check.cohort
    content = {
        "verdict": verdict(check),
        "config": asdict(check.config),
        "dataset": asdict(check.info) if check.info else None,
        "counts": {
            "listed": cohort.listed,
            "read": len(check.statistics),
            "splits": {name: len(cases) for name, cases in cohort.splits.items()},
            "excluded": cohort.excluded,
            "ignored_files": cohort.ignored,
            "errors": len(check.errors),
            "warnings": len(check.warnings),
        },
        "splits": {name: [c.case_id for c in cases] for name, cases in cohort.splits.items()},
        "summary": asdict(summarise(check)),
        "problems": [asdict(p) for p in check.problems],
        STATISTICS: [dict(c) for c in check.statistics],
        "difference": asdict(difference) if difference else None,
        "versions": _versions(),
    }
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def read_statistics(path: Path) -> list[dict[str, Any]]:
    """Reads the case statistics of an earlier cohort.

    Args:
      path: A file that `unet-tfx check --json` wrote, or a run folder.

    Raises:
      UsageError: It is neither, or it holds no cases.
    """
    try:
        if path.is_dir():
            path = path / _read(path / _SUMMARY)[_COHORT_STATISTICS]
        cases = _read(path)[STATISTICS]
    except (OSError, ValueError, TypeError, KeyError) as e:
        what = f"there is no {e} in it" if isinstance(e, KeyError) else str(e)
        raise _wrong(path, what) from e
    if not isinstance(cases, list) or not all(_is_statistics(c) for c in cases):
        raise _wrong(path, f"its {STATISTICS} are no list of cases")
    if not cases:
        raise _wrong(path, "no case in it could be read")
    return cases


def _read(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} holds no JSON object")
    return content


def _is_statistics(case: object) -> bool:
    return isinstance(case, Mapping) and "case_id" in case


def _wrong(path: Path, what: str) -> UsageError:
    return UsageError(
        "--against must be a file that `unet-tfx check --json` wrote, or the folder of a run,"
        f" got {str(path)!r}: {what}"
    )
