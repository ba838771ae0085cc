"""The prompts of the conversation, judged by a server that remembers everything."""

from typing import Any

from bench.serving import conversation
from bench.serving.clients import Call
from bench.serving.conversation import Script, converse
from ossia.harmony import Vocabulary

VOCABULARY = Vocabulary.embedded().shortened(5000)


class Remembering:
    """Writes the numbers from 300 on, and computes what no prompt and answer so far begins with."""

    def __init__(self) -> None:
        self.address = "nowhere", 0
        self.known: list[list[int]] = []
        self.prompts: list[list[int]] = []

    def call(self, prompt: list[int], tokens: int, seed: int, stream: bool = True) -> Call:
        assert not stream
        return Call("", {"prompt": prompt, "tokens": tokens})

    def read(self, answer: dict[str, Any]) -> tuple[list[int], int]:
        return answer["written"], answer["computed"]

    def answered(self, body: dict[str, Any]) -> dict[str, Any]:
        prompt = body["prompt"]
        shared = [next(n for n in range(len(prompt) + 1) if prompt[: n + 1] != one[: n + 1]) for one in self.known]
        written = list(range(300, 300 + body["tokens"]))
        self.known.append([*prompt, *written[:-1]])  # the last token drawn is not computed
        self.prompts.append(prompt)
        return {"written": written, "computed": len(prompt) - max(shared, default=0)}


def test_what_is_needed_is_what_none_has_computed(monkeypatch):
    server = Remembering()

    async def whole(address, call, limit):
        return server.answered(call.body)

    monkeypatch.setattr(conversation, "whole", whole)
    script = Script(turns=3)
    found = converse(server, VOCABULARY, script)  # type: ignore[arg-type]
    assert [request.turn for request in found] == [0, 0, 1, 1, 2, 2]
    assert [request.needed for request in found] == [request.computed for request in found]
    # Within a turn only the result and the frame of messages are new; over turns all but the last one's reasoning.
    frame = 40
    assert all(script.result < request.needed < script.result + frame for request in found[1::2])
    kept = script.call + script.result + script.answer + script.user
    assert all(kept < request.needed < kept + 2 * frame for request in found[2::2])


def test_the_history_is_harmony_without_the_reasoning_that_is_over(monkeypatch):
    server = Remembering()

    async def whole(address, call, limit):
        return server.answered(call.body)

    monkeypatch.setattr(conversation, "whole", whole)
    script = Script(turns=2)
    converse(server, VOCABULARY, script)  # type: ignore[arg-type]
    last = server.prompts[-1]
    reasoning, call = list(range(300, 300 + script.reasoning)), script.reasoning + 300
    text = ",".join(map(str, last))
    # The first turn's call and answer are there, its reasoning is not; the second's is, for its turn goes on.
    assert text.count(",".join(map(str, reasoning))) == 1
    assert last.count(call) == 3
    assert last.count(VOCABULARY.call) == 2
    opening = [VOCABULARY.start, *VOCABULARY.encode("assistant")]
    assert last[-len(opening) :] == opening
