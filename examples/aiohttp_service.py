"""Voiceprints as a service, with aiohttp: `cd examples && python -m aiohttp.web -P 8000 aiohttp_service:make_app`.

The environment has PYANNOTEAI_API_KEY, PYANNOTEAI_WEBHOOK_SECRET, and in PUBLIC_URL the address of this service.
"""

import logging
import math
import os
from collections.abc import AsyncIterator, Sequence

from aiohttp import web
from aiohttp.typedefs import Handler

import pyannote_voiceprint_async as pyannote

CLIENT = web.AppKey("client", pyannote.AsyncVoiceprintClient)
PATIENCE = float(os.environ.get("PATIENCE", "50"))  # seconds that a caller waits, before it is given the job's id

voiceprints: dict[str, pyannote.Voiceprint] = {}  # your database


async def enroll(request: web.Request) -> web.Response:
    """Answer when the voiceprint is there."""
    match await request.json():
        case {"name": str(name), "url": str(url)}:
            voiceprints[name] = voiceprint = await request.app[CLIENT].voiceprint(url, timeout=PATIENCE)
            return web.json_response({"name": name, "model": voiceprint.model}, status=201)
    return web.json_response({"detail": "Give a name and a url."}, status=422)
...
