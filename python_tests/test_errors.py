"""The errors of the package, as they come out of other processes."""

from __future__ import annotations

import errno
import pickle

import pytest
from ov2_kernels import errors

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
MESSAGE = "x.mp4: cannot open it: No such file or directory"


@pytest.mark.parametrize("kind", KINDS)
def test_errors_of_one_argument_say_it(kind):
    """A DataLoader's worker hands over the class and a message, and the error is made anew of these."""
    error = kind(MESSAGE)
    assert str(error) == MESSAGE
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (kind, MESSAGE)


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if issubclass(kind, (errors.VideoFileError, errors.TargetError))]
)
def test_errors_about_files_keep_number_and_name(kind):
    error = kind(errno.ENOENT, "cannot open it: No such file or directory", "x.mp4")
    for one in (error, pickle.loads(pickle.dumps(error))):
        assert (type(one), one.errno, one.filename, str(one)) == (kind, errno.ENOENT, "x.mp4", MESSAGE)
