"""Support for `Expect: 100-continue`, with which a client asks for permission before it sends a body."""

from aiohttp import web


async def send_continue(request: web.BaseRequest) -> None:
    """Send `100 Continue` to a client that waits for it. Without it, curl waits one second, other clients forever.

    Call this immediately before the body is read, so that the client of a refused request never sends the body.
    """
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
