import pytest

from show_coverage import summary


def entry(covered: int, statements: int) -> dict:
    percent = 100 * covered / statements if statements else 100.0
    return {"summary": {"covered_lines": covered, "num_statements": statements, "percent_covered": percent}}


@pytest.mark.parametrize("shown", [2, 10])
def test_the_total_and_the_least_covered_files_are_shown(shown: int):
    files = {
        "src/napari_mammosae/a.py": entry(9, 10),
        "src/napari_mammosae/core/b.py": entry(1, 4),
        "c.py": entry(0, 0),
        "d.py": entry(3, 4),
    }
    lines = summary({"totals": entry(10, 14)["summary"], "files": files}, shown)
    assert lines[0].split() == ["71.4", "%", "10", "/", "14", "of", "3", "files"]
    assert lines[1] == f"The {shown} least covered files:"
    assert [line.split()[-1] for line in lines[2:]] == ["core/b.py", "d.py", "a.py"][:shown]
