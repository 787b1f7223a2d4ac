"""The statuses of many jobs, from pages of `GET /v2/jobs`: 100 in one request."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from pyannote_voiceprint_async.api.endpoints import MAX_PAGE_SIZE, POLL_JOBS
from pyannote_voiceprint_async.concurrency.clock import Clock
from pyannote_voiceprint_async.errors import (
    AccountError,
    AuthenticationError,
    ClientClosedError,
    NotFoundError,
    VoiceprintError,
)
from pyannote_voiceprint_async.models import JobStatus, JobStatusPage
from pyannote_voiceprint_async.transport.pipeline import Pipeline

from .polled_job import PolledJob

__all__ = ["StatusPages"]

log = logging.getLogger("pyannote_voiceprint_async")


class StatusPages:
    """Reads the statuses of jobs from pages, newest jobs first."""

    def __init__(self, pipeline: Pipeline, clock: Clock) -> None:
        self.is_supported = True
        """False once the API has responded with 404: it has no pages."""
        self._pipeline = pipeline
        self._clock = clock

    async def update(self, unseen: dict[str, PolledJob]) -> tuple[int, int]:
        """Update the jobs from pages, while that takes fewer requests than reading the remaining jobs one by one.

        Args:
            unseen: the jobs, by id; those that a page shows are removed.

        Returns:
            How many pages were fetched, and how many pages at the end showed none of the jobs.

        Raises:
            AuthenticationError: the key was revoked.
        """
        query, pages, without_match = {"limit": str(MAX_PAGE_SIZE)}, 0, 0
        while unseen and without_match < len(unseen):
            page = await self._fetch(query)
            if page is None:
                break
            pages += 1
            without_match = 0 if self._update_from(page.items, unseen) else without_match + 1
            if page.next_cursor is None or page.next_cursor == query.get("cursor"):
                break
            query["cursor"] = page.next_cursor
        return pages, without_match

    def _update_from(self, statuses: Mapping[str, JobStatus], unseen: dict[str, PolledJob]) -> bool:
        """Update the jobs that a page shows, and return whether it shows any."""
        found = False
        for job_id, status in statuses.items():
            polled = unseen.pop(job_id, None)
            if polled is not None:
                polled.polled_at = self._clock.time()
                polled.is_terminal |= status.is_terminal
                found = True
        return found

    async def _fetch(self, query: dict[str, str]) -> JobStatusPage | None:
        try:
            return await self._pipeline.send(POLL_JOBS, query=query)
        except AuthenticationError:
            raise
        except (AccountError, ClientClosedError):
            return None  # a key without the right to list jobs may have the right to read them
        except NotFoundError:
            self.is_supported = False
            log.debug("This API has no %s: jobs are read one by one.", POLL_JOBS.path)
        except VoiceprintError as error:
            log.debug("Listing the jobs failed, and is repeated with the next poll. %s", error)
        return None
