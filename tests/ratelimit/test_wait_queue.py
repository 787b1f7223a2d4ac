"""The first-come-first-served wait queue."""

from pyannote_voiceprint_async.ratelimit.permit_request import PermitRequest, PermitState
from pyannote_voiceprint_async.ratelimit.wait_queue import WaitQueue


def queue_of(*numbers: int) -> tuple[WaitQueue, dict[int, PermitRequest]]:
    queue, requests = WaitQueue(PermitState.WAITING_FOR_SLOT), {}
    for number in numbers:
        requests[number] = PermitRequest("submissions", number, print)
        queue.push(requests[number])
    return queue, requests


def test_requests_are_popped_in_the_order_of_their_numbers():
    queue, requests = queue_of(3, 1, 2)
    assert [queue.pop() for _ in range(3)] == [requests[1], requests[2], requests[3]]
    assert queue.length == 0


def test_pushing_a_request_sets_its_state():
    _, requests = queue_of(1)
    assert requests[1].state is PermitState.WAITING_FOR_SLOT


def test_a_request_that_left_is_skipped():
    queue, requests = queue_of(1, 2, 3)
    requests[1].state = PermitState.FINISHED
    queue.note_removed()
    assert (queue.length, queue.in_order()) == (2, [requests[2], requests[3]])
    assert queue.pop() is requests[2]


def test_pop_all_empties_the_queue():
    queue, requests = queue_of(2, 1)
    assert queue.pop_all() == [requests[1], requests[2]]
    assert (queue.length, queue.pop_all()) == (0, [])
