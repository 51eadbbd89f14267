import errno
import os

import pytest

from separators.atomic import whole_file, write_atomically


def test_a_file_has_its_name_once_it_is_whole(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with whole_file(path) as file:
        file.write(b"after")
        assert path.read_bytes() == b"before"
    assert path.read_bytes() == b"after"
    assert [*tmp_path.iterdir()] == [path]


def test_a_full_disk_leaves_what_was_there(tmp_path, full_disk):
    path = tmp_path / "file"
    path.write_bytes(b"before")
    full_disk(100_000)
    with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
        write_atomically(path, bytes(200_000))
    assert path.read_bytes() == b"before"
    assert [*tmp_path.iterdir()] == [path]


def fail(file):
    file.write(b"half")
    raise ZeroDivisionError


def test_an_error_of_the_writer_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "file") as file:
        fail(file)
    assert not [*tmp_path.iterdir()]
