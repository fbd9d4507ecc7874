"""The line for the user."""

import logging

from napari_mammosae.core.base.errors import SettingsError
from napari_mammosae.viewer.app.status import Status


def heard(status):
    lines = []
    status.told.connect(lambda text, error: lines.append((text, error)))
    return lines


def test_the_last_line_is_kept_for_docks_opened_later():
    status = Status("Open a mammogram.")
    lines = heard(status)
    assert status.last_told == ("Open a mammogram.", False)
    status.tell("Done.")
    status.tell("It failed.", error=True)
    assert status.last_told == ("It failed.", True)
    assert lines == [("Done.", False), ("It failed.", True)]


def test_errors_of_this_package_become_lines_and_others_go_on():
    status = Status()
    with status.telling():
        raise SettingsError("At most 12 latents can be pinned.")
    assert status.last_told == ("At most 12 latents can be pinned.", True)
    caught = None
    try:
        with status.telling():
            raise KeyError("latent")
    except KeyError as error:
        caught = error
    assert caught is not None


def test_what_was_not_foreseen_goes_to_the_log_as_well(caplog):
    status = Status()
    with caplog.at_level(logging.ERROR):
        status.report_failure(SettingsError("The set is empty."))
        assert caplog.records == []
        status.report_failure(ZeroDivisionError("division by zero"))
    assert status.last_told == ("Unexpected ZeroDivisionError: division by zero", True)
    assert [record.exc_info[0] for record in caplog.records] == [ZeroDivisionError]
