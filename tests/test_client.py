"""The client against the sandbox."""


async def test_a_recording_becomes_a_voiceprint(client, sandbox, speech):
    """The whole way: upload, submit, wait."""
    voiceprint = await client.voiceprint(speech / "allison-en.wav")
    assert voiceprint.value == sandbox.accepted[0].voiceprint
