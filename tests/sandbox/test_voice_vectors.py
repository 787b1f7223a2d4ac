import pytest

from pyannote_voiceprint_async.sandbox.voice_vectors import VECTOR_BYTES, made_up_vector, pack_vector, similarity


def vector(*numbers: float) -> bytes:
    return pack_vector([*numbers, *[0.0] * (48 - len(numbers))])


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (vector(1.0), vector(1.0), 1.0),
        (vector(1.0), vector(0.1), 1.0),
        (vector(1.0), vector(-1.0), -1.0),
        (vector(1.0, 0.0), vector(0.0, 1.0), 0.0),
        (vector(1.0, 0.0), vector(1.0, 1.0), 0.7071),
        (vector(), vector(1.0), 0.0),
    ],
)
def test_the_similarity_is_the_cosine_of_the_angle(one, other, expected):
    assert similarity(one, other) == pytest.approx(expected, abs=1e-4)


def test_made_up_vectors_are_like_only_themselves():
    vectors = [made_up_vector(b"%d" % index) for index in range(50)]
    assert {len(one) for one in vectors} == {VECTOR_BYTES}
    assert all(similarity(one, one) == pytest.approx(1.0) for one in vectors)
    assert max(similarity(one, other) for one in vectors for other in vectors if one != other) < 0.6
