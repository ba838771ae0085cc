"""Another parser as judge: openai-harmony reads whatever the masks let through, and reads it as ours does."""

import random

import openai_harmony

from ossia.grammar import JsonObject, Rules, ToolRule
from ossia.harmony import parse
from tests.grammar.walks import embedded, walk, wander
from tests.harmony.conftest import judge, published_ranks, vocabulary  # noqa: F401  # fixtures
from tests.harmony.streams import judged, key, meant

RULES = Rules(
    tools=(ToolRule(recipient="functions.add"), ToolRule(recipient="python", text=True, channel="analysis")),
    answer=JsonObject(),
    max_reasoning_tokens=6,
)


def test_openai_harmony_reads_what_the_masks_let_through(judge: openai_harmony.HarmonyEncoding):  # noqa: F811
    rng, v, read = random.Random(2), embedded(), 0
    for _ in range(12):
        drawn = wander(walk(RULES, v), rng, v, most=150)
        if drawn is not None:
            theirs = judged(judge, drawn, "assistant")
            assert theirs is not None
            parsed = parse(drawn, v)
            assert parsed.repairs == ()
            assert list(map(meant, theirs)) == list(map(key, parsed.messages))
            read += 1
    assert read > 6
