async def test_a_client_that_waits_for_100_continue_gets_it(client, wav):
    """With `Expect: 100-continue`, the client sends no body before the server's `100 Continue`."""
    response = await client.put(await client.presign("media://voice.wav"), wav(1.0), expect100=True)
    submission = await client.post("/v1/voiceprint", {"url": "media://voice.wav"}, expect100=True)
    assert (response.status, submission.status) == (200, 200)
    assert [job.fate for job in client.sandbox.accepted] == ["succeeded"]
