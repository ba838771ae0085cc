"""Grammars where they are used: nano draws under them, and whatever it draws keeps what was asked for."""

import json
from functools import cache

import pytest

from ossia.engine import Engine, EngineConfig, SamplingParams
from ossia.grammar import Choice, JsonSchema, Rules, ToolRule
from ossia.harmony import parse
from ossia.loading import load_weights
from tests.grammar.walks import compiler, nano

POINT = {
    "type": "object",
    "properties": {"x": {"type": "integer"}, "kind": {"enum": ["near", "far"]}},
    "required": ["x", "kind"],
    "additionalProperties": False,
}
CALL = Rules(
    tools=(ToolRule(recipient="functions.go", parameters=POINT),),
    choice="required",
    max_reasoning_tokens=8,
    parallel=False,
)
RULES = [
    Rules(max_reasoning_tokens=8),
    Rules(answer=JsonSchema(POINT), max_reasoning_tokens=8),
    CALL,
    Rules(answer=Choice(("yes", "no"))),
]


@cache
def engine() -> Engine:
    v = nano()
    config = EngineConfig(context=1024, stop_tokens=v.stop_tokens, max_requests=8)
    return Engine(load_weights("nano").model, config, compiler(v).compile)


def prompt() -> list[int]:
    v = nano()
    return [v.start, *v.encode("user"), v.message, *v.encode("Where?"), v.end, v.start, *v.encode("assistant")]


def drawn(requests: list[int]) -> dict[int, list[int]]:
    tokens: dict[int, list[int]] = {request: [] for request in requests}
    while engine().has_work:
        for output in engine().step():
            tokens[output.request_id] += output.tokens
    engine().audit()
    return tokens


def ask(rules: Rules, seed: int) -> int:
    params = SamplingParams(temperature=1.5, seed=seed, max_tokens=400)
    return engine().add(prompt(), params, grammar=rules.to_source())


@pytest.mark.parametrize("seed", range(3))
def test_what_a_model_draws_keeps_the_rules_alone_and_in_company(seed: int):
    alone = [next(iter(drawn([ask(rules, seed)]).values())) for rules in RULES]
    together = list(drawn([ask(rules, seed) for rules in RULES]).values())
    assert together == alone
    for rules, tokens in zip(RULES, alone, strict=True):
        if len(tokens) == 400:  # ran out
            continue
        parsed = parse(tokens, nano())
        assert parsed.repairs == ()
        last = parsed.messages[-1]
        if rules is CALL:
            assert last.recipient == "functions.go"
        if rules is CALL or isinstance(rules.answer, JsonSchema):
            point = json.loads(last.text)
            assert isinstance(point["x"], int)
            assert point["kind"] in ("near", "far")
        if isinstance(rules.answer, Choice):
            assert last.text in rules.answer.values
        assert tokens[-1] in nano().stop_tokens
