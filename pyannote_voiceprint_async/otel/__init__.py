"""Spans and metrics of OpenTelemetry, made from the events of a client. It needs the extra `[otel]`.

`AsyncVoiceprintClient(on_event=OpenTelemetryEvents())`

| span | what | child of |
| --- | --- | --- |
| `pyannoteai voiceprint`, `pyannoteai submit` … | one for each operation of the client | that of the caller |
| `queue` | the wait for a permit and a slot, if there was one | the operation |
| `POST /v1/voiceprint` … | a request, without that wait | the operation |
| `upload` | an upload, with all its requests | the operation |
| `wait` | the wait for the job | the operation |
| `pyannoteai webhook` | a webhook, linked with the operation that awaits or submitted its job | that of the caller |

During an operation its span is the current one, so the spans of an instrumented aiohttp are its children too. The spans
of operations have the kind `client`; those of their parts are `internal`, so that no request counts twice. Polls serve
all waits at once, and have no span.

| metric | what | attributes |
| --- | --- | --- |
| `pyannoteai.client.operation.duration` | histogram of seconds | `pyannoteai.operation`, `error.type` |
| `pyannoteai.client.queue.duration` | histogram of seconds that a request waited for permit and slot | endpoint |
| `pyannoteai.client.submissions` | accepted jobs | endpoint |
| `pyannoteai.client.job.duration` | histogram of seconds from acceptance, or from `wait()` | `pyannoteai.job.status` |
| `pyannoteai.client.jobs.abandoned` | jobs that were added to `client.abandoned` | |
| `pyannoteai.client.rate_limited` | responses with status 429 | endpoint |
| `pyannoteai.client.permit.usage` | permits in use when the last request ended; for a minute | endpoint |
| `pyannoteai.client.permit.limit` | the rate limit at that time | endpoint |

The attributes of an endpoint are `http.request.method` and `url.template`. The count of a histogram is the number of
operations, requests or finished jobs. The semantic conventions name the duration of requests,
`http.client.request.duration`: the instrumentor of aiohttp records it.

Spans and metrics hold no key, URL, voiceprint, label or file name, and no message of an error.
"""

from pyannote_voiceprint_async.extras import install_command

try:
    from .hook import OpenTelemetryEvents
except ImportError as error:
    raise ImportError("OpenTelemetry is not installed. Install the extra: " + install_command("otel")) from error

__all__ = ["OpenTelemetryEvents"]
