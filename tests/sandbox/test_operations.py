import pytest

from pyannote_voiceprint_async.sandbox.operations import find_operation


@pytest.mark.parametrize(
    ("path", "name", "argument"),
    [
        ("/v1/test", "test", ""),
        ("/v1/media/input", "media", ""),
        ("/v1/voiceprint", "voiceprint", ""),
        ("/v1/identify", "identify", ""),
        ("/v1/jobs/8c1d8b0e", "job", "8c1d8b0e"),
        ("/v2/jobs", "jobs", ""),
    ],
)
def test_a_path_names_its_operation(path, name, argument):
    operation, found = find_operation(path)
    assert (operation.name, found) == (name, argument)


@pytest.mark.parametrize("path", ["", "/", "/v1/jobs", "/v1/jobs/a/b", "/v2/jobs/a", "/v1/test/"])
def test_other_paths_name_no_operation(path):
    operation, _ = find_operation(path)
    assert operation is None
