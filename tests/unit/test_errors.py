from __future__ import annotations

import re
from collections.abc import Iterator

from lipsync import errors
from lipsync.cli.exit_codes import BUG, EXITS, INTERRUPTED, OK, TERMINATED, USAGE, exit_code

GROUPS = {errors.LipsyncError, errors.InputError, errors.OutputError, errors.ModelError, errors.TaskError}


def tree(kind: type[errors.LipsyncError] = errors.LipsyncError) -> Iterator[type[errors.LipsyncError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from tree(child)


def test_the_docstring_draws_the_tree():
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")
    assert drawn == [kind.__name__ for kind in tree()][1:]


def test_every_failure_has_a_code_of_its_own():
    codes = [kind.code for kind in tree()]
    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"[a-z_]+", code) for code in codes)


def test_every_failure_has_an_exit_code_of_its_own():
    assert set(EXITS) == set(tree()) - GROUPS
    used = [*EXITS.values(), OK, USAGE, BUG, INTERRUPTED, TERMINATED]
    assert len(used) == len(set(used))
    assert all(0 <= code < 256 for code in used)


def test_a_class_without_an_exit_code_takes_that_of_the_one_above():
    class Special(errors.FileMissing):
        code = "special"

    assert exit_code(Special("x")) == EXITS[errors.FileMissing]
    assert exit_code(errors.LipsyncError("x")) == BUG


def test_stopping_is_no_failure():
    assert not issubclass(errors.Cancelled, errors.LipsyncError)
