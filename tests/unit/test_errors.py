from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from lipsync import errors
from lipsync.cli.exit_codes import BUG, EXIT_CODES, OTHERS, exit_code_of

GROUPS = {errors.LipsyncError, errors.InputError, errors.OutputError, errors.ModelError, errors.TaskError}


def tree(kind: type[errors.LipsyncError] = errors.LipsyncError) -> Iterator[type[errors.LipsyncError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from tree(child)


def test_every_failure_has_a_code_of_its_own():
    codes = [kind.code for kind in tree()]
    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"[a-z_]+", code) for code in codes)


@pytest.mark.parametrize("kind", list(tree()), ids=lambda kind: kind.code)
def test_every_failure_has_a_title_and_a_remedy_of_its_own(kind):
    assert {"title", "remedy"} <= set(vars(kind))
    assert re.fullmatch(r"[A-Z].*[^.]", kind.title)
    assert re.fullmatch(r"[A-Z].*\.", kind.remedy)
    assert [other for other in tree() if other.title == kind.title] == [kind]


def test_every_failure_has_an_exit_code_of_its_own():
    assert set(EXIT_CODES) == set(tree()) - GROUPS
    used = [*EXIT_CODES.values(), *OTHERS]
    assert len(used) == len(set(used))
    assert all(0 <= code < 256 for code in used)


def test_a_class_without_an_exit_code_takes_that_of_its_base():
    class Special(errors.FileMissing):
        code = "special"

    assert exit_code_of(Special) == EXIT_CODES[errors.FileMissing]
    assert exit_code_of(errors.LipsyncError) == BUG


def test_stopping_is_not_a_failure():
    assert not issubclass(errors.Cancelled, errors.LipsyncError)
