"""Bodies that wait to be asked for: `Expect: 100-continue`."""

from aiohttp import web


async def send_continue(request: web.BaseRequest) -> None:
    """Tell a client that holds its body back to send it; without this, curl waits a second and others forever.

    Called where a body is about to be read, so that a request that is refused never sends one.
    """
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
