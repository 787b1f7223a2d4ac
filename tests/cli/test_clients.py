"""The client of a command: the common options become its settings, and `--sandbox` connects it to a sandbox."""

import asyncio

import pytest

from pyannote_voiceprint_async import ConfigurationError, QueueTooLongError, RateLimit
from pyannote_voiceprint_async.cli.clients import create_client, open_client
from pyannote_voiceprint_async.cli.exit_codes import WrongUsage
from pyannote_voiceprint_async.cli.options import CommonOptions
from pyannote_voiceprint_async.sandbox import voiceprint_of


class Lines(list):
    """Records the status lines."""

    print_status = list.append


async def test_the_common_options_become_settings_of_the_client(sandbox):
    common = CommonOptions(base_url=sandbox.url, rate_limit=RateLimit(1, 600.0))
    async with create_client(common, sandbox.api_key) as client:
        assert sandbox.url in repr(client)
        await client.submit("https://e.com/a")
        with pytest.raises(QueueTooLongError):
            await client.submit("https://e.com/b", max_queue_wait=1.0)


async def test_the_rate_limit_holds_for_voiceprints_and_for_identifications(sandbox):
    common = CommonOptions(base_url=sandbox.url, rate_limit=RateLimit(1, 600.0))
    async with create_client(common, sandbox.api_key) as client:
        request = ("https://e.com/a", {"Ada": voiceprint_of(b"Ada")})
        await client.submit_identification(*request)
        with pytest.raises(QueueTooLongError):
            await client.submit_identification(*request, max_queue_wait=1.0)


async def test_an_impossible_concurrency_is_refused():
    with pytest.raises(ConfigurationError, match="max_concurrency"):
        create_client(CommonOptions(max_concurrency=0), "k")


async def test_without_a_key_there_is_no_client():
    with pytest.raises(ConfigurationError, match="PYANNOTEAI_API_KEY"):
        create_client(CommonOptions())


async def test_the_embedded_sandbox_is_reported_and_needs_no_key():
    lines = Lines()
    async with open_client(CommonOptions(sandbox=True), lines) as client:
        assert (await client.check_key()).message
    assert lines == ["Sandbox: nothing is sent to pyannoteAI, and the voiceprints are not real."]


async def test_a_store_that_is_no_store_is_wrong_usage(tmp_path):
    (tmp_path / "diary").write_text("Dear diary,\n")
    with pytest.raises(WrongUsage, match=r"The sandbox cannot start: .*diary is not the store"):
        async with open_client(CommonOptions(sandbox=True), Lines(), tmp_path / "diary"):
            pass


async def test_commands_share_the_rate_limit(sandbox, tmp_path):
    common = CommonOptions(base_url=sandbox.url, rate_limit=RateLimit(1, 600.0), shared=str(tmp_path / "shared.db"))
    async with create_client(common, sandbox.api_key) as one, create_client(common, sandbox.api_key) as other:
        await one.submit("https://e.com/a")
        with pytest.raises(QueueTooLongError):
            await asyncio.wait_for(other.submit("https://e.com/b", max_queue_wait=1.0), 30)


async def test_an_embedded_sandbox_shares_nothing(tmp_path):
    path = tmp_path / "shared.db"
    async with open_client(CommonOptions(sandbox=True, shared=str(path)), Lines()) as client:
        await client.check_key()
    assert not path.exists()
