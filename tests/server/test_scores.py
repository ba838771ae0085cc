"""Log-probabilities as OpenAI writes them."""

import math

from openai.types.chat import ChatCompletionTokenLogprob

from ossia.assistant import DrawnToken
from ossia.engine import Logprob
from ossia.server.scores import LEAST_LOGPROB, scored
from tests.cli.tiny import VOCABULARY


def test_a_score_is_what_the_sdk_reads():
    token = DrawnToken(VOCABULARY.encode("a")[0], Logprob(-0.5, ((1, -0.5), (VOCABULARY.end, -math.inf))))
    entry = ChatCompletionTokenLogprob.model_validate(scored(token, VOCABULARY), strict=True)
    assert (entry.token, entry.logprob, entry.bytes) == ("a", -0.5, [97])
    assert [(top.token, top.logprob) for top in entry.top_logprobs][1] == ("<|end|>", LEAST_LOGPROB)


def test_what_was_not_scored_has_none():
    assert scored(DrawnToken(5), VOCABULARY) is None
