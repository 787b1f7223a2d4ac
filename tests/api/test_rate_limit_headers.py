"""What an answer's headers say about the rate limit, in every form that the sources know."""

import math
import time
from email.utils import formatdate

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from pyannote_voiceprint_async.api.rate_limit_headers import has_retry_after, limit, remaining, retry_after, server_date

# The server's clock, in all its spellings; this machine's is an hour wrong.
SERVER_NOW = 784111777.0
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
WALL = SERVER_NOW + 3600.0
NOW_EPOCH = 1_800_000_000.0
NOW_DATE = "Fri, 15 Jan 2027 08:00:00 GMT"


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("1", 1.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("007", 7.0),
        ("1.5", 1.5),
        ("0.25", 0.25),
        # The three date formats of RFC 9110, all 30 s after the answer's own `Date`.
        ("Sun, 06 Nov 1994 08:50:07 GMT", 30.0),
        ("Sunday, 06-Nov-94 08:50:07 GMT", 30.0),
        ("Sun Nov  6 08:50:07 1994", 30.0),
        ("Sun, 06 Nov 1994 09:50:07 +0100", 30.0),
        ("Mon, 07 Nov 1994 08:49:37 GMT", 86400.0),
        # The first value of a joined list.
        ("5, 10", 5.0),
        ("5,10", 5.0),
        ("1.5 , 60", 1.5),
        ("30;w=60", 30.0),
        ("5, soon", 5.0),
        ("Sun, 06 Nov 1994 08:50:07 GMT, Sun, 06 Nov 1994 08:59:37 GMT", 30.0),
        ("Sun, 06 Nov 1994 08:50:07 GMT, 10", 30.0),
        # Seconds up to a day; above that milliseconds, then microseconds.
        ("86400", 86400.0),
        ("90000", 90.0),
        ("3600000", 3600.0),
        ("30000000", 30.0),
        ("999999999", 999.999999),
        # Now, the past, and garbage.
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
def test_retry_after(said, seconds):
    """Seconds, fractions and dates are a word; zero, the past and garbage are none."""
    assert retry_after(CIMultiDict({"Retry-After": said, "Date": DATE}), WALL) == seconds


@pytest.mark.parametrize(
    ("said", "seconds"),
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
def test_epoch_and_delta_are_told_apart_by_size(name, said, seconds):
    """A time since 1970 or a wait, each in seconds down to microseconds; measured against the answer's own `Date`."""
    assert retry_after(CIMultiDict({name: said, "Date": NOW_DATE}), NOW_EPOCH + 3600.0) == seconds


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("3600", 3600.0), ("3601", 3.601), ("30000", 30.0), ("60000", 60.0), ("3600000", 3600.0), ("30000000", 30.0)],
)
def test_a_reset_above_an_hour_is_in_a_smaller_unit(said, seconds):
    """A window is a minute; a `Retry-After` of the same size may be a closed day."""
    assert retry_after(CIMultiDict({"X-RateLimit-Reset": said, "Date": NOW_DATE}), WALL) == seconds


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
def test_retry_after_goes_before_reset_and_names_have_no_case(headers, seconds):
    assert retry_after(CIMultiDict(headers), WALL) == seconds


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        (NOW_DATE, 30.0),
        ("Friday, 15-Jan-27 08:00:00 GMT", 30.0),
        ("Fri Jan 15 08:00:00 2027", 30.0),
        # Without a `Date` that can be read, this machine's clock is all there is; here it is 10 s ahead.
        (None, 20.0),
        ("", 20.0),
        ("today", 20.0),
        ("-1", 20.0),
    ],
)
@pytest.mark.parametrize("said", ["Fri, 15 Jan 2027 08:00:30 GMT", "1800000030", "1800000030000"])
def test_dates_are_measured_against_the_answers_own_date(date, said, seconds):
    """Local clocks are wrong."""
    headers = CIMultiDict({"Retry-After": said} | ({} if date is None else {"Date": date}))
    assert retry_after(headers, NOW_EPOCH + 10.0) == seconds


@pytest.fixture
def _elsewhere(monkeypatch):
    """This machine stands five hours west of Greenwich."""
    with monkeypatch.context() as there:
        there.setenv("TZ", "EST5")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_elsewhere")
def test_dates_without_a_zone_are_utc_wherever_this_machine_is():
    """The format of `asctime` names no zone."""
    headers = CIMultiDict({"Retry-After": "Fri Jan 15 08:00:30 2027", "Date": NOW_DATE})
    assert retry_after(headers, NOW_EPOCH) == 30.0


@pytest.mark.parametrize(
    ("said", "readable"),
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
def test_a_server_that_says_when_to_return_is_believed_even_if_it_says_now(said, readable):
    headers = CIMultiDict({} if said is None else {"retry-after": said})
    assert has_retry_after(headers) is readable


def test_only_retry_after_says_when_to_return():
    """`X-RateLimit-Reset` may be on every answer; it makes no promise that nothing was accepted."""
    assert has_retry_after(CIMultiDict({"X-RateLimit-Reset": "30"})) is False


@pytest.mark.parametrize(
    ("said", "count"),
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
def test_limit_and_remaining(said, count):
    """A whole number, alone or first in the list form of the IETF drafts; a limit of zero is no limit."""
    headers = CIMultiDict({"x-ratelimit-limit": said, "X-RATELIMIT-REMAINING": said})
    assert (limit(headers), remaining(headers)) == (count or None, count)


def test_headers_that_say_nothing():
    """No header is no word, and neither header stands in for the other."""
    assert (limit(CIMultiDict()), remaining(CIMultiDict())) == (None, None)
    assert limit(CIMultiDict({"X-RateLimit-Remaining": "5"})) is None
    assert remaining(CIMultiDict({"X-RateLimit-Limit": "5"})) is None


# Anything that a header's bytes can be decoded to, and things that are nearly right.
NEARLY = st.one_of(
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
    headers=st.lists(st.tuples(NAMES, NEARLY), max_size=6).map(CIMultiDict),
    wall=st.floats(0.0, 4e9),
)
@example(headers=CIMultiDict({"Retry-After": "999999999999999999"}), wall=0.0)
@example(headers=CIMultiDict({"Retry-After": "Mon, 01 Jan 0001 00:00:00 +2359"}), wall=0.0)
@example(headers=CIMultiDict({"Date": "Fri, 31 Dec 9999 23:59:59 -2359", "Retry-After": "5"}), wall=0.0)
def test_headers_of_any_kind_break_nothing(headers, wall):
    """There is no word, or a wait that is finite and above zero; counts are whole and not negative."""
    wait = retry_after(headers, wall)
    assert wait is None or (math.isfinite(wait) and wait > 0)
    assert limit(headers) is None or limit(headers) > 0
    assert remaining(headers) is None or remaining(headers) >= 0
    assert has_retry_after(headers) in {True, False}
    assert server_date(headers) is None or math.isfinite(server_date(headers))


@settings(deadline=None)
@given(word=NEARLY, wall=st.floats(0.0, 4e9))
def test_a_wait_that_a_retry_after_gives_is_one_that_it_says(word, wall):
    """A 503 is believed to have refused a submission for such a word only: the two must not disagree."""
    headers = CIMultiDict({"Retry-After": word})
    assert has_retry_after(headers) or retry_after(headers, wall) is None


@given(st.integers(0, 10**9 - 1), st.sampled_from(["{}", " {} ", "{}, {};w=60", "{};w=60"]))
def test_counts_are_read_as_they_are_written(count, form):
    headers = CIMultiDict({name: form.format(count, count) for name in ("X-RateLimit-Limit", "X-RateLimit-Remaining")})
    assert (limit(headers), remaining(headers)) == (count or None, count)


@given(st.integers(1, 86_400), st.integers(0, 2 * 10**9))
def test_seconds_and_dates_are_read_as_they_are_written(seconds, wall):
    """Seconds, and a date so many seconds after the answer's own, are the same wait, whatever the clock here says."""
    then, now = (formatdate(SERVER_NOW + offset, usegmt=True) for offset in (seconds, 0))
    assert retry_after(CIMultiDict({"Retry-After": str(seconds)}), wall) == seconds
    assert retry_after(CIMultiDict({"Retry-After": then, "Date": now}), wall) == seconds
