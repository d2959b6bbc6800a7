"""One case: read, checked and described. What CaseGen converts and `unet-tfx check` reports."""

from collections.abc import Mapping
from dataclasses import dataclass

from beam_preprocess.case import Case, CaseFiles, DataError, Dataset, Problem, errors
from beam_preprocess.checks import check_case
from beam_preprocess.content import content_hash
from beam_preprocess.statistics import case_statistics

Statistics = Mapping[str, object]
"""Feature name -> text, int or float: see `statistics.case_statistics`."""


@dataclass(frozen=True, kw_only=True)
class Examination:
    """What is known of a case after it was read.

    Attributes:
      case: None where it could not be read.
      problems: Errors and warnings.
      statistics: The case statistics, and `content`: a hash of grid and intensities, the same for
        equal images under other names. None where there is an error.
    """

    case: Case | None
    problems: tuple[Problem, ...]
    statistics: Statistics | None


def examine_case(files: CaseFiles, dataset: Dataset) -> Examination:
    """Reads a case and tells all that is wrong with it. Raises nothing for bad data."""
    try:
        case = dataset.read_case(files)
    except DataError as e:
        return Examination(case=None, problems=tuple(e.problems), statistics=None)
    problems = tuple(check_case(case, dataset.info))
    if errors(problems):
        return Examination(case=None, problems=problems, statistics=None)
    statistics = {**case_statistics(case, dataset.info), "content": content_hash(case)}
    return Examination(case=case, problems=problems, statistics=statistics)
