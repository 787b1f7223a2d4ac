"""Parse the headers about the rate limit, in every format that servers use."""

import math
import time
from email.utils import formatdate

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from pyannote_voiceprint_async.api.rate_limit_headers import has_retry_after, limit, remaining, retry_after, server_date

# The clock of the server. The clock of this machine is an hour ahead.
SERVER_NOW = 784111777.0
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
WALL = SERVER_NOW + 3600.0
NOW_EPOCH = 1_800_000_000.0
NOW_DATE = "Fri, 15 Jan 2027 08:00:00 GMT"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1", 1.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("007", 7.0),
        ("1.5", 1.5),
        ("0.25", 0.25),
        # The date formats of RFC 9110, 30 s after the `Date` of the response.
        ("Sun, 06 Nov 1994 08:50:07 GMT", 30.0),
        ("Sunday, 06-Nov-94 08:50:07 GMT", 30.0),
        ("Sun Nov  6 08:50:07 1994", 30.0),
        ("Sun, 06 Nov 1994 09:50:07 +0100", 30.0),
        ("Mon, 07 Nov 1994 08:49:37 GMT", 86400.0),
        # Joined lists: the first value counts.
        ("5, 10", 5.0),
        ("5,10", 5.0),
        ("1.5 , 60", 1.5),
        ("30;w=60", 30.0),
        ("5, soon", 5.0),
        ("Sun, 06 Nov 1994 08:50:07 GMT, Sun, 06 Nov 1994 08:59:37 GMT", 30.0),
        ("Sun, 06 Nov 1994 08:50:07 GMT, 10", 30.0),
        # Seconds up to a day, then milliseconds, then microseconds.
        ("86400", 86400.0),
        ("90000", 90.0),
        ("3600000", 3600.0),
        ("30000000", 30.0),
        ("999999999", 999.999999),
        # Zero, the past and garbage.
        ("soon, 5", None),
        (", 5", None),
        ("-1, 5", None),
        ("nan, 5", None),
        ("0, 5", None),
        ("10000000000", None),
        ("999999999999", None),
        ("9" * 17, None),
        ("9" * 11, None),
        ("9" * 20, None),
        ("0", None),
        ("0.0", None),
        (DATE, None),
        ("Sun, 06 Nov 1994 08:49:36 GMT", None),
        ("-1", None),
        ("-0.5", None),
        ("+5", None),
        ("", None),
        (" ", None),
        ("soon", None),
        ("inf", None),
        ("-inf", None),
        ("nan", None),
        ("Infinity", None),
        ("1e400", None),
        ("1e3", None),
        ("1_000", None),
        ("0x10", None),
        ("١٢", None),
        ("１２", None),  # noqa: RUF001 - the same
        ("²", None),
        ("1.2.3", None),
        ("5 s", None),
        ("5\n6", None),
        ("9" * 400, None),
        ("Sun, 06 Nov 1994", None),
        ("Sun, 99 Nov 1994 08:50:07 GMT", None),
        ("Sun, 06 Nov 99999999999 08:50:07 GMT", None),
        ("Sun, 06 Nov 1994 08:50:07 +999999", None),
    ],
)
def test_retry_after(value, seconds):
    """Seconds, fractions and dates are valid; zero, the past and garbage are ignored."""
    assert retry_after(CIMultiDict({"Retry-After": value, "Date": DATE}), WALL) == seconds


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("30", 30.0),
        ("0.5", 0.5),
        (str(int(NOW_EPOCH) + 30), 30.0),
        (f"{NOW_EPOCH + 30.5}", 30.5),
        (str((int(NOW_EPOCH) + 30) * 1000), 30.0),
        (str((int(NOW_EPOCH) + 30) * 1000 + 250), 30.25),
        (str((int(NOW_EPOCH) + 30) * 10**6), 30.0),
        (str((int(NOW_EPOCH) + 30) * 10**6 + 250_000), 30.25),
        (str((int(NOW_EPOCH) + 30) * 10**9), 30.0),
        (f"{int(NOW_EPOCH) + 30}, {int(NOW_EPOCH) + 90}", 30.0),
        ("Fri, 15 Jan 2027 08:00:30 GMT", 30.0),
        ("3600", 3600.0),
        ("120000000", 120.0),
        (str(int(NOW_EPOCH)), None),
        (str((int(NOW_EPOCH) - 30) * 10**6), None),
        (str(int(NOW_EPOCH) - 30), None),
        (str((int(NOW_EPOCH) - 30) * 1000), None),
        ("0", None),
        ("-30", None),
        ("later", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("name", ["X-RateLimit-Reset", "Retry-After"])
def test_size_of_a_number_tells_epoch_from_delta_and_its_unit(name, value, seconds):
    """Epoch times are compared with the `Date` of the response."""
    assert retry_after(CIMultiDict({name: value, "Date": NOW_DATE}), NOW_EPOCH + 3600.0) == seconds


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("3600", 3600.0), ("3601", 3.601), ("30000", 30.0), ("60000", 60.0), ("3600000", 3600.0), ("30000000", 30.0)],
)
def test_reset_above_an_hour_is_in_a_smaller_unit(value, seconds):
    """A rate-limit window lasts a minute, while a `Retry-After` may be up to a day."""
    assert retry_after(CIMultiDict({"X-RateLimit-Reset": value, "Date": NOW_DATE}), WALL) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "5", "X-RateLimit-Reset": "30"}, 5.0),
        ({"Retry-After": "garbage", "X-RateLimit-Reset": "30"}, 30.0),
        ({"Retry-After": "", "X-RateLimit-Reset": "30"}, 30.0),
        ({"Retry-After": "garbage", "X-RateLimit-Reset": "garbage"}, None),
        ({"retry-after": "5"}, 5.0),
        ({"RETRY-AFTER": "5"}, 5.0),
        ({"x-ratelimit-reset": "30"}, 30.0),
        ({"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "0"}, None),
    ],
)
def test_retry_after_has_priority_over_reset_and_names_ignore_case(headers, seconds):
    assert retry_after(CIMultiDict(headers), WALL) == seconds


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        (NOW_DATE, 30.0),
        ("Friday, 15-Jan-27 08:00:00 GMT", 30.0),
        ("Fri Jan 15 08:00:00 2027", 30.0),
        # Without a valid `Date`, the clock of this machine counts, which is 10 s ahead here.
        (None, 20.0),
        ("", 20.0),
        ("today", 20.0),
        ("-1", 20.0),
    ],
)
@pytest.mark.parametrize("value", ["Fri, 15 Jan 2027 08:00:30 GMT", "1800000030", "1800000030000"])
def test_times_are_compared_with_the_date_of_the_response(date, value, seconds):
    headers = CIMultiDict({"Retry-After": value} | ({} if date is None else {"Date": date}))
    assert retry_after(headers, NOW_EPOCH + 10.0) == seconds


@pytest.fixture
def _other_time_zone(monkeypatch):
    """Set the local time zone to UTC-5."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "EST5")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_other_time_zone")
def test_dates_without_a_zone_are_utc():
    """The `asctime` format has no zone."""
    headers = CIMultiDict({"Retry-After": "Fri Jan 15 08:00:30 2027", "Date": NOW_DATE})
    assert retry_after(headers, NOW_EPOCH) == 30.0


@pytest.mark.parametrize(
    ("value", "readable"),
    [
        ("5", True),
        ("0.5", True),
        ("0", True),
        ("Sun, 06 Nov 1994 08:49:37 GMT", True),
        ("1800000000", True),
        (None, False),
        ("", False),
        ("-5", False),
        ("soon", False),
        ("nan", False),
        ("1e400", False),
    ],
)
def test_has_retry_after_accepts_any_valid_value_even_zero(value, readable):
    headers = CIMultiDict({} if value is None else {"retry-after": value})
    assert has_retry_after(headers) is readable


def test_has_retry_after_ignores_the_reset_header():
    """`X-RateLimit-Reset` is on every response, so it does not prove that nothing was accepted."""
    assert has_retry_after(CIMultiDict({"X-RateLimit-Reset": "30"})) is False


@pytest.mark.parametrize(
    ("value", "count"),
    [
        ("100", 100),
        ("500", 500),
        (" 100 ", 100),
        ("1", 1),
        ("100, 100;w=60", 100),
        ("100,100;w=60", 100),
        ("100;w=60", 100),
        ("100 ; w=60", 100),
        ("999999999", 999_999_999),
        ("0", 0),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1.5", None),
        ("1e3", None),
        ("1_000", None),
        ("many", None),
        ("nan", None),
        ("inf", None),
        ("١٠٠", None),  # noqa: RUF001 - digits for `int`
        ("²", None),
        ("100 200", None),
        ("100/60", None),
        ("w=60;100", None),
        ("9" * 5000, None),
    ],
)
def test_limit_and_remaining(value, count):
    """A number, alone or first in the list form of the IETF drafts. A limit of zero is ignored."""
    headers = CIMultiDict({"x-ratelimit-limit": value, "X-RATELIMIT-REMAINING": value})
    assert (limit(headers), remaining(headers)) == (count or None, count)


def test_missing_headers():
    """Neither header replaces the other."""
    assert (limit(CIMultiDict()), remaining(CIMultiDict())) == (None, None)
    assert limit(CIMultiDict({"X-RateLimit-Remaining": "5"})) is None
    assert remaining(CIMultiDict({"X-RateLimit-Limit": "5"})) is None


# Random texts, and texts that are nearly valid.
HEADER_VALUES = st.one_of(
    st.text(st.characters(codec=None), max_size=60),
    st.text("0123456789.,;:-+eE_ \tinfaxGMTSuNov", max_size=40),
    st.floats().map(str),
    st.integers().map(str),
    st.builds(
        "{}, {:02} {} {} {}:{}:{} {}".format,
        st.sampled_from(["Sun", "Sunday", "Xxx"]),
        st.integers(-1, 99),
        st.sampled_from(["Nov", "Feb", "Xxx", "11"]),
        st.integers(-1, 10**13),
        st.integers(-1, 99),
        st.integers(-1, 99),
        st.integers(-1, 99),
        st.one_of(
            st.sampled_from(["GMT", "UTC", "EST", "", "-0000"]), st.integers(-(10**12), 10**12).map("{:+}".format)
        ),
    ),
)
NAMES = st.sampled_from(["Retry-After", "X-RateLimit-Reset", "X-RateLimit-Limit", "X-RateLimit-Remaining", "Date"])


@settings(deadline=None, max_examples=600)
@given(
    headers=st.lists(st.tuples(NAMES, HEADER_VALUES), max_size=6).map(CIMultiDict),
    wall=st.floats(0.0, 4e9),
)
@example(headers=CIMultiDict({"Retry-After": "999999999999999999"}), wall=0.0)
@example(headers=CIMultiDict({"Retry-After": "Mon, 01 Jan 0001 00:00:00 +2359"}), wall=0.0)
@example(headers=CIMultiDict({"Date": "Fri, 31 Dec 9999 23:59:59 -2359", "Retry-After": "5"}), wall=0.0)
def test_any_headers_give_valid_results(headers, wall):
    """A wait is finite and above zero, and counts are not negative."""
    wait = retry_after(headers, wall)
    assert wait is None or (math.isfinite(wait) and wait > 0)
    assert limit(headers) is None or limit(headers) > 0
    assert remaining(headers) is None or remaining(headers) >= 0
    assert has_retry_after(headers) in {True, False}
    assert server_date(headers) is None or math.isfinite(server_date(headers))


@settings(deadline=None)
@given(value=HEADER_VALUES, wall=st.floats(0.0, 4e9))
def test_retry_after_is_none_unless_has_retry_after(value, wall):
    """The two functions must agree, because a 503 with a valid `Retry-After` means that a submission was refused."""
    headers = CIMultiDict({"Retry-After": value})
    assert has_retry_after(headers) or retry_after(headers, wall) is None


@given(st.integers(0, 10**9 - 1), st.sampled_from(["{}", " {} ", "{}, {};w=60", "{};w=60"]))
def test_counts_survive_a_round_trip(count, form):
    headers = CIMultiDict({name: form.format(count, count) for name in ("X-RateLimit-Limit", "X-RateLimit-Remaining")})
    assert (limit(headers), remaining(headers)) == (count or None, count)


@given(st.integers(1, 86_400), st.integers(0, 2 * 10**9))
def test_seconds_and_dates_survive_a_round_trip(seconds, wall):
    """The wait is the same as seconds and as a date, whatever the clock of this machine shows."""
    then, now = (formatdate(SERVER_NOW + offset, usegmt=True) for offset in (seconds, 0))
    assert retry_after(CIMultiDict({"Retry-After": str(seconds)}), wall) == seconds
    assert retry_after(CIMultiDict({"Retry-After": then, "Date": now}), wall) == seconds
