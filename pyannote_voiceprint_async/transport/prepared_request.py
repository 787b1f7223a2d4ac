"""A request that uses the headers of its session as they are, so that they are not copied and completed again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import aiohttp

__all__ = ["PreparedRequest"]


class PreparedRequest(aiohttp.ClientRequest):
    """A request for `ClientSession(request_class=…)`, for a session whose headers are complete, except `Host`."""

    def update_headers(self, headers: Any) -> None:
        """Use the headers, which the session has made for this request; called by aiohttp."""
        headers["Host"] = self.url.host_port_subcomponent
        self.headers = headers

    def update_auto_headers(self, skip_auto_headers: Iterable[str] | None) -> None:
        """Add no headers: the session's are complete; called by aiohttp."""
