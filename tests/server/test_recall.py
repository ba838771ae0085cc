"""What is kept of earlier turns: by client and call, bounded, forgotten in time."""

import random

from ossia.harmony import Message
from ossia.server.recall import Recall

THOUGHT = Message("assistant", "I add.", channel="analysis", tokens=(1, 2))
CALL = Message("assistant", "{}", channel="commentary", recipient="functions.add", tokens=(3, 4, 5))
ANSWER = Message("assistant", "It is 4.", channel="final", tokens=(6, 7))
RESULT = Message("tool", "4", name="functions.add")


def test_a_turn_comes_back_under_each_of_its_calls():
    recall = Recall()
    recall.keep(b"me", (THOUGHT, CALL, RESULT, CALL), ["call_1", "call_2"])
    assert recall.calls(b"me", "call_1") == recall.calls(b"me", "call_2") == (THOUGHT, CALL, CALL)


def test_an_answer_comes_back_under_its_text():
    recall = Recall()
    recall.keep(b"me", (THOUGHT, ANSWER), [])
    found = recall.answer(b"me", "It is 4.")
    assert found is not None
    assert found.tokens == (6, 7)
    assert recall.answer(b"me", "It is 5.") is None


def test_nobody_finds_what_another_left():
    recall = Recall()
    recall.keep(b"me", (THOUGHT, CALL, ANSWER), ["call_1"])
    assert recall.calls(b"you", "call_1") is None
    assert recall.answer(b"you", "It is 4.") is None


def test_an_answer_whose_tokens_say_more_is_not_kept():
    recall = Recall()
    recall.keep(b"me", (Message("assistant", "cut", channel="final"),), [])
    assert recall.entries == 0


def test_it_is_forgotten_in_time():
    now = 0.0
    recall = Recall(seconds=10, clock=lambda: now)
    recall.keep(b"me", (THOUGHT, CALL), ["call_1"])
    now = 9.0
    assert recall.calls(b"me", "call_1") is not None
    now = 11.0
    assert recall.calls(b"me", "call_1") is None
    assert (recall.entries, recall.bytes) == (0, 0)


def test_it_stays_within_its_bytes_and_keeps_what_was_used_last():
    recall = Recall(most_bytes=20_000)
    for number in range(100):
        recall.keep(b"me", (THOUGHT, CALL), [f"call_{number}"])
        recall.calls(b"me", "call_0")
        assert 0 < recall.bytes <= 20_000
    assert recall.calls(b"me", "call_0") is not None
    assert recall.calls(b"me", "call_1") is None
    assert recall.calls(b"me", "call_99") is not None


def test_the_books_balance_after_anything():
    chance, recall = random.Random(5), Recall(most_bytes=9_000)
    for _ in range(2_000):
        client, call = chance.choice([b"a", b"b"]), f"call_{chance.randrange(20)}"
        match chance.randrange(4):
            case 0:
                recall.keep(client, (THOUGHT, CALL) * chance.randrange(1, 4), [call])
            case 1:
                recall.calls(client, call)
            case 2:
                recall.keep(client, (ANSWER,), [])
            case _ if chance.random() < 0.02:
                recall.forget(client)
            case _:
                pass
        assert recall.bytes == sum(kept.bytes for kept in recall._kept.values())
    recall.forget(b"a")
    recall.forget(b"b")
    assert (recall.entries, recall.bytes) == (0, 0)
