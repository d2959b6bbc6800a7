"""What shows when the cases of a cohort are compared."""

import pytest

from beam_preprocess.comparison import compare_cases


def case(case_id: str, **changes: object) -> dict[str, object]:
    """The statistics that are compared, of a case like any other."""
    return {
        "case_id": case_id,
        "content": f"hash of {case_id}",
        "orientation": "LPS",
        "dtype": "int16",
        "spacing_x": 1.0,
        "spacing_y": 1.0,
        "spacing_z": 1.0,
    } | changes


def problems_of(*cases: dict[str, object]) -> list[tuple[str, str, str]]:
    """Severity, case and rule of every problem."""
    paths = {str(c["case_id"]): f"/d/{c['case_id']}.nii" for c in cases}
    found = compare_cases(cases, paths)
    assert all(p.path == paths[p.case_id] and p.remedy for p in found)
    return [(p.severity, p.case_id, p.rule) for p in found]


def test_cases_of_one_kind():
    assert problems_of(case("a"), case("b"), case("c")) == []
    assert problems_of() == []


def test_equal_images_are_an_error_of_each():
    found = problems_of(case("b", content="1"), case("a", content="1"), case("c"))
    assert [(severity, case_id) for severity, case_id, _ in found] == [
        ("error", "a"),
        ("error", "b"),
    ]
    assert found[0][2].endswith("this one has that of b")
    assert found[1][2].endswith("this one has that of a")


def test_many_equal_images_are_counted():
    found = problems_of(*(case(name, content="1") for name in "abcdef"))
    assert len(found) == 6
    assert found[0][2].endswith("this one has that of b, c, d and 2 more")


@pytest.mark.parametrize(("feature", "odd"), [("orientation", "RAS"), ("dtype", "float32")])
def test_another_orientation_or_type_is_a_warning(feature, odd):
    found = problems_of(case("a"), case("b", **{feature: odd}), case("c"))
    usual = case("a")[feature]
    assert found == [("warning", "b", f"{feature} is {odd}, 2 of 3 cases have {usual}")]


@pytest.mark.parametrize(
    ("spacing", "odd"), [(1.99, False), (2.0, True), (5.0, True), (0.51, False), (0.5, True)]
)
def test_a_voxel_twice_or_half_as_long_is_a_warning(spacing, odd):
    """The median of 1, 1 and `spacing` is 1."""
    found = problems_of(case("a"), case("b"), case("c", spacing_z=spacing))
    rule = f"spacing along z is {spacing:g} mm, the median of the cohort 1 mm"
    assert found == ([("warning", "c", rule)] if odd else [])


def test_photographs_have_two_axes():
    photographs = [case(name) for name in "abc"]
    for photograph in photographs:
        del photograph["spacing_z"]
    photographs[2]["spacing_y"] = 3.0
    rule = "spacing along y is 3 mm, the median of the cohort 1 mm"
    assert problems_of(*photographs) == [("warning", "c", rule)]
