"""How far back the list of jobs is read, and which of the jobs are in the ledger."""

from datetime import UTC, datetime

import pytest

from pyannote_voiceprint_async.enrollment.run.job_listing import IncompleteListingError, list_jobs_since
from pyannote_voiceprint_async.models import JobStatus, JobSummary

NOW, HOUR = 1_800_000_000.0, 3600.0


class Api:
    """Lists one job for each minute, newest first, and counts the jobs that were read."""

    def __init__(self, *, ahead=0.0, ends_at=None):
        self.ahead, self.ends_at, self.listed = ahead, ends_at, 0

    async def list_jobs(self):
        while self.listed != self.ends_at:
            at = datetime.fromtimestamp(NOW - 60.0 * self.listed + self.ahead, UTC)
            yield JobSummary(f"job-{self.listed}", JobStatus.SUCCEEDED, at)
            self.listed += 1


class FakeLedger:
    """Contains every job whose number is a multiple of `every`."""

    def __init__(self, every):
        self.every = every

    async def known_jobs(self, job_ids):
        numbers = [int(job_id.removeprefix("job-")) for job_id in job_ids]
        return {f"job-{n}": (NOW - 60.0 * n, "precision-2") for n in numbers if self.every and n % self.every == 0}


async def listing_of(api, every, back, required=None):
    return await list_jobs_since(api, FakeLedger(every), NOW - back, required=required, max_submission_seconds=60.0)


@pytest.mark.parametrize("ahead", [-HOUR, 0.0, HOUR])
async def test_the_measured_clock_offset_decides_how_far_the_list_is_read(ahead):
    api = Api(ahead=ahead)
    listing = await listing_of(api, 10, 2 * HOUR)
    assert listing.offset == (ahead, ahead + 60.0, True)
    assert 120 <= api.listed <= 300
    assert listing.since < NOW - 2 * HOUR + ahead
    assert len(listing.own_jobs) * 9 == len(listing.unknown_jobs)


async def test_without_own_jobs_the_list_is_read_15_hours_further_back():
    api = Api()
    listing = await listing_of(api, 0, 2 * HOUR)
    assert not listing.offset.is_measured
    assert 17 * 60 <= api.listed <= 17 * 60 + 200


async def test_a_list_that_was_read_to_its_end_has_no_oldest_time():
    listing = await listing_of(Api(ends_at=7), 3, 2 * HOUR)
    assert (listing.since, len(listing.own_jobs), len(listing.unknown_jobs)) == (None, 3, 4)


async def test_a_list_without_the_required_job_is_incomplete():
    with pytest.raises(IncompleteListingError):
        await listing_of(Api(ends_at=7), 3, 2 * HOUR, required="job-50")
