"""What users of other servers suffer from, and which test keeps it from happening here.

Each row of `PAINS` is a complaint that many have made, and the tests that would fail if it were true of this server.
Those that nothing else tests are tested below; those that are no matter of a server say whose they are.
"""

import ast
import asyncio
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ossia.server.app import make_app
from ossia.server.responses import close_shelf
from tests.cli.tiny import VOCABULARY
from tests.scripted import ids
from tests.server.door import within
from tests.server.fuzz.corruption import Stream
from tests.server.fuzz.direct import Answered, post
from tests.server.fuzz.reading import APIS, Said, through
from tests.server.fuzz.test_attacks import posted
from tests.server.load.test_load import hosting
from tests.server.playing import Player
from tests.server.serving import service_for

ROOT = Path(__file__).parents[2]
HERE = "server/test_pains.py"
PAGE = 16

PAINS: dict[str, tuple[str, ...]] = {
    "a stray token in a header ends the request with an error": (
        "server/fuzz/test_corruption.py::test_any_tokens_give_a_well_formed_answer_that_has_all_of_their_text",
        "harmony/test_parse.py::test_malformed_output_is_repaired",
        "server/test_metrics.py::test_repairs_are_counted_by_kind",
        f"{HERE}::test_an_answer_that_has_lost_its_form_is_an_answer",
    ),
    "a call is taken for text, or for reasoning": (f"{HERE}::test_a_call_in_any_form_is_a_call",),
    "the name of a tool has control tokens in it": (
        f"{HERE}::test_a_call_in_any_form_is_a_call",
        "grammar/test_walk.py::test_whatever_is_drawn_is_clean_and_complete",
    ),
    "reasoning is lost between calls, or kept for too long": (
        "server/chat/test_routes.py::test_a_tool_loop_keeps_the_reasoning_that_the_client_drops",
        "server/responses/test_making.py::test_the_chain_of_thought_is_kept_when_the_client_drops_it",
        "server/ollama/test_routes.py::test_a_tool_loop_with_ids_keeps_the_reasoning_that_the_client_drops",
        "server/test_plan.py::test_dropped_reasoning_is_counted",
    ),
    "a schema and reasoning exclude each other": (
        "grammar/test_in_the_engine.py::test_what_a_model_draws_keeps_the_rules_alone_and_in_company",
        "server/chat/test_routes.py::test_schemas_are_shown_and_held",
        "clients/test_openai_sdk.py::test_an_answer_parsed_into_a_class",
    ),
    "tool_choice is ignored": (
        "server/responses/test_tools.py::test_choices_reach_the_engine",
        "server/chat/test_tools.py::test_choices",
        "grammar/test_rules.py::test_what_may_be_called",
        "grammar/test_walk.py::test_a_budget_opens_the_call_that_is_due",
    ),
    "streamed arguments break, or a call that was cut off is dropped": (
        "server/fuzz/test_corruption.py::test_any_tokens_give_a_well_formed_answer_that_has_all_of_their_text",
        "server/ollama/test_routes.py::test_a_call_that_was_cut_off_is_not_lost",
        "server/messages/test_routes.py::test_a_call_that_was_cut_off_is_not_lost",
        "server/chat/test_routes.py::test_several_calls_have_their_own_indexes_and_ids",
    ),
    "effort is ignored, or has another name everywhere": (
        "server/test_effort.py::test_every_spelling",
        "server/test_plan.py::test_the_effort_is_asked_for_written_or_the_models_own",
        f"{HERE}::test_the_same_request_is_the_same_through_every_api",
    ),
    "thinking cannot be switched off or bounded, and leaves no room for the answer": (
        "server/chat/test_request.py::test_no_reasoning_at_all",
        "server/test_plan.py::test_reasoning_leaves_room_for_the_answer",
        "grammar/test_walk.py::test_the_reasoning_budget_is_kept_exactly",
    ),
    "Responses lack what Codex and the SDKs send": (
        "clients/test_codex.py::test_a_turn_with_a_tool_call",
        "server/responses/test_parts.py::test_calls_are_items_with_the_names_that_clients_know",
        "server/responses/test_making.py::test_a_stored_response_is_gone_on_from_with_its_calls_and_reasoning",
        "server/chat/test_routes.py::test_tools_that_are_not_here_are_declined_by_name",
    ),
    "the answer goes in circles": (
        "server/chat/test_routes.py::test_endless_repetition_has_a_reason_of_its_own",
        "assistant/test_repetition.py::test_a_loop_is_noticed_soon",
        f"{HERE}::test_nothing_is_penalised_unless_it_was_asked_for",
    ),
    "the context is cut without a word": (
        "server/test_plan.py::test_a_conversation_that_does_not_fit_is_refused_with_numbers",
        "server/test_plan.py::test_truncation_drops_whole_old_turns_and_no_instructions",
    ),
    "the next turn computes everything again": (
        "engine/test_prefix.py::test_a_conversation_that_parts_in_the_middle_goes_on_from_the_last_mark_before",
        f"{HERE}::test_the_next_turn_computes_what_is_new_alone",
    ),
    "coding agents fail": (
        "clients/test_codex.py::test_a_turn_with_a_tool_call",
        "clients/test_codex.py::test_an_answer_that_follows_a_schema",
    ),
    "the vocabulary has to be downloaded": (
        "harmony/test_vocabulary.py::test_embedded_ranks_are_the_published_ones",
        "checkpoint/test_finding.py::test_nano_is_the_embedded_model_whatever_lies_here",
    ),
    "templates escape twice, or lose half of a schema": (
        "harmony/test_faithful.py::test_nothing_is_left_out",
        "server/test_plan.py::test_tools_are_shown_in_full",
        f"{HERE}::test_what_a_tool_said_is_shown_as_it_is",
    ),
    "what users and tools say becomes control tokens": (
        "server/fuzz/test_injection.py::test_control_tokens_in_any_field_of_text_stay_text",
        "harmony/test_render.py::test_no_text_becomes_a_control_token",
    ),
    "it falls back to a slower form and does not say so": (
        "server/chat/test_routes.py::test_the_settings_in_effect_are_told",
    ),
    "evaluations do not reproduce": (f"{HERE}::test_the_same_request_is_the_same_through_every_api",),
    "tools are called that were not offered": ("grammar/test_rules.py::test_what_may_be_called",),
    "the field of the reasoning has two names": (
        "server/chat/test_routes.py::test_an_answer_with_its_reasoning_and_usage",
        "server/chat/test_routes.py::test_reasoning_that_the_client_sends_back_is_read",
    ),
    "a refusal without a header is an error": (f"{HERE}::test_an_answer_that_has_lost_its_form_is_an_answer",),
    "preambles are lost": (
        "server/chat/test_routes.py::test_preamble_and_answer_are_content",
        "server/responses/test_parts.py::test_a_preamble_is_a_message_of_its_own",
    ),
    "usage is wrong": (f"{HERE}::test_usage_is_counted_alike",),
    "the same request has other answers in other company": (
        "engine/test_invariance.py::test_any_load_gives_the_answers_of_running_alone",
    ),
    "the store of responses grows without end": (
        "server/responses/test_database.py::test_rows_expire_when_they_have_not_been_used",
        "server/responses/test_database.py::test_the_least_recently_used_make_room_and_later_turns_go_first",
        "server/load/test_load.py::test_clients_that_come_and_go_leave_nothing_behind",
    ),
}

NO_MATTER_OF_A_SERVER = {
    "experts cannot be trained, or are lost when they are merged": "training",
    "the GPU is not used, and nobody says why": "backends for GPUs",
    "attention sinks need a certain GPU": "backends for GPUs",
    "it is slow on a CPU": "bench/",
}


@cache
def _tests(path: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / path).read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("pain", PAINS)
def test_every_pain_has_tests_that_are_there(pain: str):
    for named in PAINS[pain]:
        path, _, name = named.partition("::")
        assert name in _tests(path), named


def test_thirty_pains_are_looked_after():
    assert len(PAINS) + len(NO_MATTER_OF_A_SERVER) == 30


def heard(api: str, written: str) -> tuple[Said, Said]:
    """What a client hears of this, without masks, whole and streamed."""
    tokens = tuple(ids(VOCABULARY, written))
    asked = Stream(0, tokens, per_step=1, tools=True, logprobs=False, stop=(), thinking=True)

    async def scene() -> tuple[Said, Said]:
        app = make_app(service_for(Player(VOCABULARY, tokens, endless=True), store=":memory:"))
        try:
            return await through(api, app, asked)
        finally:
            await close_shelf(app)

    return asyncio.run(scene())


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    "written",
    [
        "I cannot help with that.<|return|>",
        "<|start|>assistant I cannot help with that.<|return|>",
        "<|channel|>final I cannot help with that.<|return|>",
        "<|channel|>final<|message|>I cannot help with that.<|end|>",
        "<|channel|>final<|message|>I cannot help with that.<|return|><|return|>",
        "<|start|><|start|>assistant<|channel|>final<|message|>I cannot help with that.<|return|>",
        "<|channel|>final some very odd words<|message|>I cannot help with that.<|return|>",
        "<|message|>I cannot help with that.<|return|>",
    ],
)
def test_an_answer_that_has_lost_its_form_is_an_answer(api: str, written: str):
    for said in heard(api, written):
        assert said.answer == "I cannot help with that."
        assert (said.calls, said.reasoning) == ([], "")


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    "header",
    [
        "<|channel|>commentary to=functions.add <|constrain|>json<|message|>",
        "<|channel|>commentary to=functions.add<|constrain|>json<|message|>",
        "<|channel|>commentary to=functions.add json<|message|>",
        "<|channel|>commentary to=functions.add<|message|>",
        " to=functions.add<|channel|>commentary<|constrain|>json<|message|>",
        " to=functions.add<|channel|>commentary<|channel|>commentary json<|message|>",
        " to=functions.add<|channel|>analysis<|constrain|>json<|message|>",
        " to=functions.add<|constrain|>json<|channel|>commentary<|message|>",
        "<|channel|>analysis to=functions.add code<|message|>",
    ],
)
def test_a_call_in_any_form_is_a_call(api: str, header: str):
    written = f'<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant{header}{{"a": 2}}<|call|>'
    for said in heard(api, written):
        assert said.calls == [("add", '{"a": 2}')]
        assert (said.answer, said.reasoning, said.finish) == ("", "Hm.", "tool_calls")


QUESTION = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 2 + 2?"}]
PARAMETERS = {"type": "object", "properties": {"a": {"type": "integer", "enum": [1, 2]}}, "required": ["a"]}
FUNCTION = {"name": "add", "description": "Adds.", "parameters": PARAMETERS}
SAME: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": (
        "/v1/chat/completions",
        {
            "messages": QUESTION,
            "tools": [{"type": "function", "function": FUNCTION}],
            "reasoning_effort": "low",
            "max_completion_tokens": 99,
        },
    ),
    "responses": (
        "/v1/responses",
        {
            "instructions": "Be brief.",
            "input": "What is 2 + 2?",
            "tools": [{"type": "function", "strict": False, **FUNCTION}],
            "reasoning": {"effort": "low"},
            "max_output_tokens": 99,
        },
    ),
    "ollama": (
        "/api/chat",
        {
            "messages": QUESTION,
            "tools": [{"type": "function", "function": FUNCTION}],
            "think": "low",
            "options": {"num_predict": 99},
            "stream": False,
        },
    ),
    "messages": (
        "/v1/messages",
        {
            "system": "Be brief.",
            "messages": QUESTION[1:],
            "tools": [{"name": "add", "description": "Adds.", "input_schema": PARAMETERS}],
            "output_config": {"effort": "low"},
            "max_tokens": 99,
        },
    ),
}
WRITTEN = "<|channel|>analysis<|message|>Easy.<|end|><|start|>assistant<|channel|>final<|message|>Four.<|return|>"


def asked(api: str) -> tuple[Player, Answered]:
    """What reached the engine of the same request, and what came back."""
    path, body = SAME[api]
    player = Player(VOCABULARY, WRITTEN)

    async def scene() -> Answered:
        app = make_app(service_for(player, store=":memory:"))
        try:
            return await post(app, path, {"model": "tiny", **body})
        finally:
            await close_shelf(app)

    return player, asyncio.run(scene())


def test_the_same_request_is_the_same_through_every_api():
    wanted = {api: asked(api)[0].wanted[0] for api in SAME}
    for api in SAME:
        assert VOCABULARY.decode(wanted[api].prompt) == VOCABULARY.decode(wanted["chat"].prompt), api
        assert wanted[api] == wanted["chat"], api


def test_usage_is_counted_alike():
    player, answered = asked("chat")
    prompt, written, thought = (
        len(player.wanted[0].prompt),
        len(ids(VOCABULARY, WRITTEN)),
        len(ids(VOCABULARY, "Easy.")),
    )
    usage = answered.json()["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (prompt, written)
    reasoning = usage["completion_tokens_details"]["reasoning_tokens"]
    assert thought <= reasoning <= thought + 1, "the token that ends it may be counted with it"
    other = asked("responses")[1].json()["usage"]
    assert (other["input_tokens"], other["output_tokens"]) == (prompt, written)
    assert other["output_tokens_details"]["reasoning_tokens"] == reasoning
    line = asked("ollama")[1].json()
    assert (line["prompt_eval_count"], line["eval_count"]) == (prompt, written)
    message = asked("messages")[1].json()["usage"]
    assert (message["input_tokens"] + message["cache_read_input_tokens"], message["output_tokens"]) == (prompt, written)


@pytest.mark.parametrize("api", SAME)
def test_nothing_is_penalised_unless_it_was_asked_for(api: str):
    params = asked(api)[0].wanted[0].params
    assert (params.temperature, params.top_p, params.top_k, params.min_p) == (1.0, 1.0, 0, 0.0)
    assert (params.frequency_penalty, params.presence_penalty, params.logit_bias or {}) == (0.0, 0.0, {})


def test_what_a_tool_said_is_shown_as_it_is():
    said = '"quoted"\n\\n {"a": "\\u00e9"} é <b>'
    call = {"id": "c", "type": "function", "function": {"name": "add", "arguments": '{"a": "x\\n"}'}}
    turns = [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "c", "content": said}]
    player = Player(VOCABULARY, WRITTEN)

    async def scene() -> None:
        app = make_app(service_for(player))
        await post(app, "/v1/chat/completions", {"model": "tiny", "messages": [*QUESTION, *turns]})

    asyncio.run(scene())
    assert '<|message|>{"a": "x\\n"}<|call|>' in player.prompts[0]
    assert f"<|message|>{said}<|end|>" in player.prompts[0]


def test_the_next_turn_computes_what_is_new_alone(tmp_path: Path):
    """At most the previous answer without its reasoning, the new message, and one page."""

    async def scene() -> None:
        async with hosting(tmp_path / "store.sqlite") as host:
            messages = [{"role": "user", "content": "What is 30 + 12?"}]
            before: dict[str, Any] | None = None
            for _ in range(3):
                body = {"model": "nano", "messages": messages, "max_tokens": 60, "seed": 1}
                status, raw = await posted(host.port, "/v1/chat/completions", body)
                assert status == 200, raw
                answer = json.loads(raw)
                usage, message = answer["usage"], answer["choices"][0]["message"]
                if before is not None:
                    new = usage["prompt_tokens"] - before["prompt_tokens"]
                    computed = usage["prompt_tokens"] - usage["prompt_tokens_details"]["cached_tokens"]
                    assert computed <= new + PAGE, (usage, before)
                before = usage
                messages += [
                    {"role": "assistant", "content": message["content"]},
                    {"role": "user", "content": "And now?"},
                ]

    within(90, scene())
