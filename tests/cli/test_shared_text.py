"""The state that processes share, as lines for people."""

from pyannote_voiceprint_async.cli.shared_text import scope_lines, scope_record
from pyannote_voiceprint_async.shared.status import ScopeStatus, UnresolvedKey, WindowStatus

SCOPE = ScopeStatus(
    "default",
    "https://api.pyannote.ai",
    (
        WindowStatus("job_reads", 300, 3, 12, 0, 0, 0.0),
        WindowStatus("submissions", 100, 3, 97, 2, 40, 12.0),
    ),
    {"accepted": 1200, "unknown": 22},
    tuple(UnresolvedKey(f"key-{number}", 1_800_000_000.0) for number in range(22)),
)


def test_lines_of_a_busy_fleet():
    lines = list(scope_lines(SCOPE, 80))
    assert lines[:3] == ["API   https://api.pyannote.ai", "Team  default", "Keys  1200 accepted, 22 unknown"]
    assert lines[3] == "  unknown outcome: key-0, sent 2027-01-15T08:00:00Z"
    assert lines[23:] == [
        "  and 2 other keys",
        "",
        "OPERATION    PROCESSES  IN USE   LIMIT  WAITING  PAUSE",
        "job_reads            3      12     300        0",
        "submissions          3      97     100       40  12 s",
    ]


def test_the_record_has_plain_json_types():
    record = scope_record(SCOPE)
    assert record["unresolved_keys"][0] == {"key": "key-0", "sent_at": "2027-01-15T08:00:00Z"}
    assert record["windows"][1]["waiting_members"] == 2
