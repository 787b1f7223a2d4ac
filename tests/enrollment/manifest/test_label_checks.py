"""Labels in messages; `test_row_checks` tests which labels are refused."""

import pytest

from pyannote_voiceprint_async.enrollment.manifest.label_checks import printable_label

NFC, NFD = "Jos\u00e9", "Jose\u0301"


@pytest.mark.parametrize("label", [None, 7, "", "  "])
def test_an_empty_label_is_not_printable(label):
    assert printable_label(label) is None


def test_a_printable_label_is_in_nfc():
    assert printable_label(NFD) == NFC
