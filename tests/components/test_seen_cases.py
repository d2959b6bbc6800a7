"""Who counts as seen: by image where both sides know it, else by name and patient."""

import json
from dataclasses import replace

import pytest

from components.origin import make_origin, write_origin
from components.seen_cases import CASE, IMAGE, PATIENT, read_seen, why_seen

CASES = ["P1_follow-up", "case_001"]
GROUPS = ["P1", "case_001"]
CONTENTS = {"#P1": "P1_follow-up", "#1": "case_001"}


@pytest.fixture
def seen(tmp_path):
    """A function: form of the telling, contents -> what a model with those cases tells."""

    def make(form: str, contents: dict[str, str]):
        model = tmp_path / "model" / "1"
        model.mkdir(parents=True)
        if form == "file":
            told = {"cases": CASES, "groups": GROUPS, "contents": contents}
            (tmp_path / "model" / "training_cases.json").write_text(json.dumps(told))
        else:
            names = [*CASES, *GROUPS]
            made = make_origin("k", "refit", folds=[], names=names, contents=contents)
            write_origin(made, model)
        return read_seen(model)

    return make


@pytest.mark.parametrize("form", ["file", "origin"])
@pytest.mark.parametrize(
    ("case_id", "group", "content", "why"),
    [
        ("case_002", "case_002", "#2", ""),
        ("case_001", "case_001", "#1", IMAGE),
        ("renamed", "renamed", "#1", IMAGE),
        ("case_001", "case_001", "", CASE),  # its image is not known: the name decides
        ("case_001", "case_001", "#other", ""),  # of another cohort
        ("case_001", "P1", "#other", PATIENT.format(group="P1")),
        ("P1_baseline", "P1", "#new", PATIENT.format(group="P1")),
        ("case_002", "P2", "", ""),
    ],
)
def test_why(seen, form, case_id, group, content, why):
    assert why_seen(seen(form, CONTENTS), case_id, group=group, content=content) == why


def test_first_scan_of_a_patient_whose_second_was_trained_on(seen):
    """The case is called as the patient: no case of that name was trained on, the patient was."""
    told = seen("file", CONTENTS)
    assert why_seen(told, "P1", group="P1", content="#new") == PATIENT.format(group="P1")


@pytest.mark.parametrize("form", ["file", "origin"])
def test_model_that_tells_no_images(seen, form):
    told = seen(form, {})
    assert why_seen(told, "case_001", group="case_001", content="#other") == CASE
    assert why_seen(told, "renamed", group="renamed", content="#1") == ""


def test_model_that_was_joined_has_seen_what_its_members_have(tmp_path):
    """Each by the salt of its own."""
    own, *members = (
        make_origin("k", "refit", folds=[], names=names, contents=contents)
        for names, contents in ((["own"], {}), (CASES + GROUPS, CONTENTS), (["case_009"], {}))
    )
    write_origin(replace(own, members=tuple(members)), tmp_path)
    told = read_seen(tmp_path)
    assert why_seen(told, "own", group="P7", content="") == CASE
    assert why_seen(told, "case_009", group="P8", content="#9") == CASE
    assert why_seen(told, "P1_baseline", group="P1", content="#new") == PATIENT.format(group="P1")
    assert why_seen(told, "renamed", group="P9", content="#1") == IMAGE
    assert why_seen(told, "case_002", group="P2", content="#2") == ""


def test_model_that_tells_nothing(tmp_path):
    assert read_seen(tmp_path) == ()
    assert why_seen((), "case_001", group="case_001", content="#1") == ""


def test_damaged_file(tmp_path):
    (tmp_path / "training_cases.json").write_text('{"cases": []}')
    with pytest.raises(ValueError, match=r"training_cases.json' is damaged: train the model again"):
        read_seen(tmp_path / "Format-Serving")
