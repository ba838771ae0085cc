"""The engine's own interface: what `add` refuses, what `step` reports, and what a conversation costs."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from ossia.engine import Engine, EngineConfig, LoadedModel, Output, SamplingParams, runner
from ossia.errors import BackendError, ConfigError, ContextLengthError, OverloadedError, RequestError
from ossia.model import forward
from ossia.ops import Batch
from ossia.ops.sampling import sample
from tests.engine.counting import CountingOps, counting_model
from tests.engine.traffic import Oracle, Pattern

GREEDY = SamplingParams(temperature=0.0, max_tokens=12)

START, END, CALL, RETURN = 50, 51, 52, 49
"""Control tokens of a conversation, as the operator would list them."""


def engine_of(model: LoadedModel, **settings: int | tuple[int, ...]) -> Engine:
    defaults = {"page_size": 4, "max_requests": 4, "max_step_tokens": 16, "context": 128}
    return Engine(model, EngineConfig.from_dict(defaults | settings))


def random_prompt(length: int, seed: int, vocabulary: int = 49) -> list[int]:
    return np.random.default_rng(seed).integers(0, vocabulary, length).tolist()


def finish(engine: Engine) -> dict[int, list[int]]:
    """Step until nothing is left: the tokens by request, every step audited."""
    tokens: dict[int, list[int]] = {}
    while engine.has_work:
        for output in engine.step():
            tokens.setdefault(output.request_id, []).extend(output.tokens)
        engine.audit()
    return tokens


def text(outputs: Sequence[Output]) -> list[int]:
    return [token for output in outputs for token in output.tokens]


def first(engine: Engine, prompt: Sequence[int], salt: bytes = b"") -> Output:
    """Answer a prompt to the end; the first output, which tells what was cached."""
    output, *_ = engine.generate(prompt, GREEDY, salt=salt)
    return output


def greedy(model: LoadedModel, prompt: Sequence[int], count: int) -> list[int]:
    """The largest logit again and again, over whole sequences without a cache."""
    tokens = list(prompt)
    for _ in range(count):
        logits = forward(model.ops, model.config, model.weights, Batch.packed([tokens]))
        tokens.append(int(np.argmax(logits[-1])))
    return tokens[len(prompt) :]


@pytest.mark.parametrize("length", [1, 3, 4, 15, 16, 17, 50])
def test_greedy_tokens_are_those_of_the_model_without_a_cache(reference_model: LoadedModel, length: int):
    prompt = random_prompt(length, seed=length)
    outputs = list(engine_of(reference_model).generate(prompt, GREEDY))
    assert text(outputs) == greedy(reference_model, prompt, 12)
    assert [output.finish for output in outputs] == [None] * 11 + ["length"]


def test_requests_side_by_side_answer_as_alone(reference_model: LoadedModel):
    engine = engine_of(reference_model)
    prompts = {engine.add(random_prompt(n, seed=n), GREEDY): random_prompt(n, seed=n) for n in (5, 33, 18, 2, 40, 11)}
    assert finish(engine) == {request: greedy(reference_model, prompt, 12) for request, prompt in prompts.items()}


def test_logprobs_are_those_of_the_unmodified_distribution(reference_model: LoadedModel):
    prompt = random_prompt(20, seed=3)
    params = SamplingParams(temperature=1.7, top_k=4, seed=1, max_tokens=8, logprobs=3, logit_bias={5: 4.0})
    [*outputs] = engine_of(reference_model).generate(prompt, params)
    sequence = [*prompt, *text(outputs)]
    logits = forward(reference_model.ops, reference_model.config, reference_model.weights, Batch.packed([sequence]))
    exact = logits.astype(np.float64)
    exact -= np.log(np.exp(exact).sum(axis=1, keepdims=True))
    for place, output in enumerate(outputs, len(prompt) - 1):
        assert output.logprobs is not None
        [(logprob, top)] = output.logprobs
        # The reference in chunks and in one go differ by the order of BLAS's additions: 1e-5 of the largest logit.
        bound = 1e-5 * float(np.abs(logits[place]).max())
        assert abs(logprob - exact[place, output.tokens[0]]) <= bound
        assert [token for token, _ in top] == np.argsort(-exact[place])[:3].tolist()
        assert np.allclose([value for _, value in top], np.sort(exact[place])[::-1][:3], rtol=0, atol=bound)


@pytest.mark.parametrize("own", [None, (), "other"])
def test_a_stop_token_is_the_last_of_the_answer(counting: LoadedModel, own: object):
    prompt = random_prompt(9, seed=1)
    expected = greedy(counting, prompt, 12)
    engines_stop, other = expected[5], expected[3]
    engine = engine_of(counting, stop_tokens=(engines_stop,))
    stop_tokens = (other,) if own == "other" else own
    outputs = list(engine.generate(prompt, replace(GREEDY, stop_tokens=stop_tokens)))
    stop = {None: engines_stop, (): None, (other,): other}[stop_tokens]
    end = 12 if stop is None else expected.index(stop) + 1
    assert text(outputs) == expected[:end]
    assert outputs[-1].finish == ("length" if stop is None else "stop")


def test_a_prompt_beyond_the_context_is_refused_with_numbers(counting: LoadedModel):
    engine = engine_of(counting)
    with pytest.raises(ContextLengthError, match=r"prompt has 120 tokens .* 9 more, together 129; .* holds 128"):
        engine.add([1] * 120, SamplingParams(max_tokens=9))
    with pytest.raises(ContextLengthError, match="prompt has 128 tokens"):
        engine.add([1] * 128)
    assert not engine.has_work


def test_without_max_tokens_the_answer_ends_with_the_context(counting: LoadedModel):
    outputs = list(engine_of(counting, context=40).generate([1, 2, 3], SamplingParams(seed=1)))
    assert (len(text(outputs)), outputs[-1].finish) == (37, "length")


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (np.array([1.0, 2.0]), "prompt is not a sequence of token ids"),
        ("hello", "prompt is not a sequence of token ids"),
        ([], "prompt is empty"),
        ([-1], "token 0 of the prompt is -1; ids from 0 to 52"),
        ([3, 53], "token 1 .* is 53"),
    ],
)
def test_a_prompt_that_is_none_is_refused(counting: LoadedModel, prompt: list[int], message: str):
    with pytest.raises(RequestError, match=message):
        engine_of(counting).add(prompt)


def test_a_prompt_may_be_an_array(counting: LoadedModel):
    prompt = random_prompt(9, seed=1)
    outputs = list(engine_of(counting).generate(np.array(prompt, np.int32), GREEDY))  # type: ignore[arg-type]
    assert text(outputs) == greedy(counting, prompt, 12)


def test_what_the_model_does_not_have_is_refused():
    engine = engine_of(counting_model(adapters=("poet",)))
    with pytest.raises(RequestError, match="no adapter is called 'cook'; loaded: 'poet'"):
        engine.add([1], adapter="cook")
    with pytest.raises(RequestError, match="without a compiler for grammars"):
        engine.add([1], grammar="{}")
    with pytest.raises(RequestError, match="logprobs is 54; at most the vocabulary's size, 53"):
        engine.add([1], SamplingParams(logprobs=54))
    for params in (SamplingParams(logit_bias={53: 1.0}), SamplingParams(stop_tokens=(53,))):
        with pytest.raises(RequestError, match=r"(logit_bias|stop_tokens) has 53, which is no token; ids from 0 to 52"):
            engine.add([1], params)
    assert not engine.has_work


def test_control_tokens_beyond_the_vocabulary_are_refused(counting: LoadedModel):
    with pytest.raises(ConfigError, match="boundary_tokens has 53, but ids end at 52"):
        engine_of(counting, boundary_tokens=(3, 53))
    with pytest.raises(ConfigError, match="stop_tokens has 99"):
        engine_of(counting, stop_tokens=(99,))


def test_a_seed_makes_an_answer_again_and_one_drawn_at_random_is_told(counting: LoadedModel):
    engine, prompt = engine_of(counting), random_prompt(10, seed=2)
    first = list(engine.generate(prompt, SamplingParams(max_tokens=30)))
    second = list(engine.generate(prompt, SamplingParams(max_tokens=30)))
    assert text(first) != text(second)
    assert first[0].seed != second[0].seed
    assert len({output.seed for output in first}) == 1
    again = list(engine.generate(prompt, SamplingParams(max_tokens=30, seed=first[0].seed)))
    assert text(again) == text(first)


def test_a_cancelled_request_says_so_and_gives_its_pages_back(counting: LoadedModel):
    engine = engine_of(counting, max_requests=1)
    running, waiting, last = (engine.add(random_prompt(20, seed=n), GREEDY) for n in range(3))
    engine.step()
    assert engine.cancel(running)
    assert engine.cancel(waiting)
    engine.audit()
    outputs = engine.step()
    assert [(output.request_id, output.finish, output.tokens) for output in outputs] == [
        (running, "cancelled", ()),
        (waiting, "cancelled", ()),
    ]
    assert not engine.cancel(running)
    assert not engine.cancel(99)
    assert finish(engine) == {last: greedy(counting, random_prompt(20, seed=2), 12)}
    page_bytes = 4 * 2 * 2 * 4  # of the one layer of each kind: 4 slots of a key and a value of 2 floats
    every = {name: size // page_bytes for name, size in engine.cache_bytes.items()}
    assert (engine.status.running, engine.status.waiting, engine.status.available_pages) == (0, 0, every)


def test_how_far_a_prompt_is_computed_can_be_seen(counting: LoadedModel):
    engine = Engine(counting, EngineConfig(max_requests=2, max_step_tokens=10))
    assert engine.prefill == (0, 0)
    engine.add([1] * 25, SamplingParams(max_tokens=2))
    seen = []
    while engine.has_work:
        engine.step()
        seen.append(engine.prefill)
    assert seen == [(10, 25), (20, 25), (0, 0), (0, 0)]


def test_a_generator_left_early_cancels_and_keeps_what_others_were_told(counting: LoadedModel):
    engine = engine_of(counting)
    other = engine.add(random_prompt(5, seed=1), GREEDY)
    outputs = engine.generate(random_prompt(6, seed=2), GREEDY)
    for _ in range(3):
        next(outputs)
    outputs.close()  # type: ignore[attr-defined]
    cancelled = other + 1
    assert finish(engine) == {other: greedy(counting, random_prompt(5, seed=1), 12), cancelled: []}


def test_two_generators_take_turns(counting: LoadedModel):
    engine, prompts = engine_of(counting), [random_prompt(5, seed=1), random_prompt(30, seed=2)]
    pair = [engine.generate(prompt, GREEDY) for prompt in prompts]
    turns = [list(both) for both in zip(*pair, strict=True)]
    for index, prompt in enumerate(prompts):
        assert text([turn[index] for turn in turns]) == greedy(counting, prompt, 12)


def test_higher_priority_is_served_first(counting: LoadedModel):
    engine = engine_of(counting, max_requests=1)
    numbers = [engine.add([priority], GREEDY, priority=priority) for priority in (0, 2, 1)]
    order = []
    while engine.has_work:
        order += [output.request_id for output in engine.step() if output.finish]
    assert order == [numbers[1], numbers[2], numbers[0]]


def test_a_step_that_fails_can_be_made_again(monkeypatch: pytest.MonkeyPatch):
    model = counting_model()
    engine, prompt = engine_of(model), random_prompt(30, seed=4)
    number = engine.add(prompt, GREEDY)
    engine.step()
    for owner, name in ((model.ops, "experts"), (runner, "hidden"), (model.ops, "sample")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, _fail)
            with pytest.raises(BackendError, match="out of order"):
                engine.step()
    assert finish(engine) == {number: greedy(model, prompt, 12)}


def _fail(*_: object, **__: object) -> None:
    raise BackendError("out of order")


def test_a_grammar_that_is_complete_ends_the_answer(counting: LoadedModel):
    engine = engine_of(counting)
    outputs = list(engine.generate([1, 2], GREEDY, grammar=Pattern([[4, 5], [6], [7, 8, 9]])))
    tokens = text(outputs)
    assert (len(tokens), tokens[1], outputs[-1].finish) == (3, 6, "stop")


def test_a_bias_that_forbids_everything_ends_without_a_token(counting: LoadedModel):
    nothing = replace(GREEDY, logit_bias=dict.fromkeys(range(counting.config.vocab_size), -math.inf))
    [output] = engine_of(counting).generate([1, 2], nothing)
    assert (output.tokens, output.finish) == ((), "no_token")
    outputs = list(engine_of(counting).generate([1, 2], nothing, grammar=Pattern([[6], [7, 8]])))
    assert (text(outputs), outputs[-1].finish) == ([6], "no_token")
    outputs = list(engine_of(counting).generate([1, 2], nothing, grammar=Pattern([[6]])))
    assert (text(outputs), outputs[-1].finish) == ([6], "stop")


def test_logits_that_are_no_numbers_end_without_a_token(monkeypatch: pytest.MonkeyPatch):
    model = counting_model()
    nothing = np.full((1, 53), np.nan, np.float32)
    monkeypatch.setattr(model.ops, "sample", lambda x, unembedding, draw: sample(nothing, draw))
    [output] = engine_of(model).generate([1, 2], GREEDY)
    assert (output.tokens, output.finish) == ((), "no_token")


def test_forced_tokens_are_not_sampled_one_by_one(counting: LoadedModel):
    places = [[4, 5], *([token] for token in range(10, 20)), [7, 8]]
    outputs = list(engine_of(counting).generate([1, 2], GREEDY, grammar=Pattern(places)))
    assert [len(output.tokens) for output in outputs] == [1, 11]
    outputs = list(engine_of(counting).generate([1, 2], replace(GREEDY, logprobs=1), grammar=Pattern(places)))
    assert [len(output.logprobs or ()) for output in outputs] == [1, 11]


@pytest.mark.parametrize("logprobs", [None, 0])
def test_a_bias_does_not_forbid_what_is_forced(counting: LoadedModel, logprobs: int | None):
    params = replace(GREEDY, logprobs=logprobs, logit_bias={10: -math.inf})
    outputs = list(engine_of(counting).generate([1, 2], params, grammar=Pattern([[10], [11], [12]])))
    assert (text(outputs), outputs[-1].finish) == ([10, 11, 12], "stop")
    found = [each for output in outputs for each in output.logprobs or ()]
    assert len(found) == (0 if logprobs is None else 3)
    assert all(math.isfinite(each.logprob) for each in found)


def test_a_grammar_may_come_as_its_source(counting: LoadedModel):
    engine = Engine(counting, EngineConfig(context=64), compile_grammar=lambda source: Pattern([[int(source)]]))
    assert text(list(engine.generate([1], grammar="33"))) == [33]


def test_a_right_draft_saves_steps_and_a_wrong_one_changes_nothing(counting: LoadedModel):
    prompt = random_prompt(10, seed=6)
    answer = greedy(counting, prompt, 12)
    steps = {}
    for name, known in (("right", answer), ("wrong", [(token + 1) % 49 for token in answer])):
        drafter = Oracle([*prompt, *known], np.random.default_rng(0), most=4)
        drafter.random = _Always()  # type: ignore[assignment]
        outputs = list(engine_of(counting).generate(prompt, GREEDY, drafter=drafter))
        assert text(outputs) == answer
        steps[name] = len(outputs)
    assert steps == {"right": 3, "wrong": 12}


class _Failing(Pattern):
    """A grammar that fails the second time it is asked what must come."""

    asked = 0

    def forced(self) -> list[int]:
        self.asked += 1
        if self.asked == 2:
            raise BackendError("out of order")
        return super().forced()


def test_nothing_is_lost_when_a_grammar_fails(counting: LoadedModel):
    engine, prompt, places = engine_of(counting), random_prompt(10, seed=6), [[6], [7], [3, 4], [8, 9], [5]]
    number = engine.add(prompt, GREEDY, grammar=_Failing(places))
    other = engine.add(prompt[:5], GREEDY)
    tokens: dict[int, list[int]] = {number: [], other: []}
    failures = 0
    while engine.has_work:
        try:
            for output in engine.step():
                tokens[output.request_id] += output.tokens
        except BackendError:
            failures += 1
    assert (failures, tokens[other]) == (1, greedy(counting, prompt[:5], 12))
    assert all(token in place for token, place in zip(tokens[number], places, strict=True))


def test_a_grammar_that_fails_midway_is_not_complete(counting: LoadedModel):
    engine, prompt = engine_of(counting), random_prompt(10, seed=6)
    broken = Pattern([[6], [7]])
    broken.failure = "too complex"
    for grammar, finish in ((Pattern([[6], [7]]), "stop"), (broken, "no_token")):
        outputs = list(engine.generate(prompt, GREEDY, grammar=grammar))
        assert (text(outputs), outputs[-1].finish) == ([6, 7], finish)
        assert all(output.failure is None for output in outputs[:-1])
    assert outputs[-1].failure == "the answer cannot go on within what its grammar may cost: too complex"


class _Always:
    """Random numbers with which an Oracle proposes as much as it may, and does not lie."""

    def integers(self, low: int, high: int) -> int:
        return high - 1

    def random(self) -> float:
        return 0.0


def turn(*parts: Sequence[int]) -> list[int]:
    return [token for part in parts for token in part]


def message(length: int, seed: int, end: int = END) -> list[int]:
    return [START, *random_prompt(length, seed), end]


def test_a_conversation_goes_on_although_its_analysis_is_dropped():
    """Harmony's next prompt parts from the last right after `<|start|>assistant`: only the new is computed."""
    model = counting_model()
    engine = engine_of(model, boundary_tokens=(END, CALL), stop_tokens=(RETURN,), page_size=16)
    history, opening = turn(message(20, 1), message(30, 2)), [START, 7]
    asked = turn(history, opening)
    analysis, answer = [3, *random_prompt(12, 5), END], [4, 5, 6]
    places = [[token] for token in turn(analysis, [START, 7], answer, [RETURN])]
    params = replace(GREEDY, max_tokens=None)
    outputs = list(engine.generate(asked, params, grammar=Pattern(places)))
    assert outputs[-1].finish == "stop"
    assert text(outputs) == turn(*places)
    second = turn(asked, answer, [END], message(9, 3), opening)
    assert isinstance(model.ops, CountingOps)
    before = model.ops.rows_computed
    [*outputs] = engine.generate(second, GREEDY)
    assert outputs[0].cached_tokens == len(asked) - 1
    assert model.ops.rows_computed - before == len(second) - (len(asked) - 1) + 11
    assert text(outputs) == greedy(model, second, 12)


def test_a_tool_call_goes_on_from_the_end_of_the_request(counting: LoadedModel):
    engine = engine_of(counting, boundary_tokens=(END, CALL), stop_tokens=(CALL,))
    prompt, call = turn(message(20, 1), [START, 7]), [*random_prompt(11, 5), CALL]
    outputs = list(engine.generate(prompt, GREEDY, grammar=Pattern([[token] for token in call])))
    assert text(outputs) == call
    [*outputs] = engine.generate(turn(prompt, call, message(5, 6), [START, 7]), GREEDY)
    # All but the call's last token, which was drawn and never computed.
    assert outputs[0].cached_tokens == len(prompt) + len(call) - 1


def test_a_new_question_after_the_same_instructions_shares_them(counting: LoadedModel):
    engine = engine_of(counting, boundary_tokens=(END,))
    system = message(33, 1)
    for seed in (2, 3):
        [*outputs] = engine.generate(turn(system, message(9, seed), [START, 7]), GREEDY)
    assert outputs[0].cached_tokens == len(system)


def test_what_two_prompts_share_without_a_control_token_a_third_goes_on_from(counting: LoadedModel):
    engine, examples = engine_of(counting), random_prompt(43, seed=1)
    cached = [first(engine, [*examples, *random_prompt(9, seed)]).cached_tokens for seed in (2, 3, 4)]
    assert cached == [0, 0, 40]


def test_one_prompt_for_several_answers_is_computed_once():
    model = counting_model()
    engine, prompt = engine_of(model, max_requests=8), random_prompt(60, seed=8)
    assert isinstance(model.ops, CountingOps)
    for seed in range(8):
        engine.add(prompt, SamplingParams(seed=seed, max_tokens=1))
    assert len({tuple(tokens) for tokens in finish(engine).values()}) > 1
    assert model.ops.rows_computed == 60 + 7


def test_what_is_forgotten_is_computed_again(counting: LoadedModel):
    engine, prompt = engine_of(counting), random_prompt(20, seed=9)
    cached = []
    for _ in range(3):
        cached.append(first(engine, prompt).cached_tokens)
        if len(cached) == 2:
            engine.forget()
    assert cached == [0, 19, 0]
    assert engine.status.kept_pages != {"sliding_attention": 0, "full_attention": 0}
    engine.forget()
    assert engine.status.kept_pages == {"sliding_attention": 0, "full_attention": 0}


def test_a_client_can_be_forgotten_alone(counting: LoadedModel):
    engine, prompt = engine_of(counting), random_prompt(20, seed=9)
    for salt in (b"one", b"two"):
        first(engine, prompt, salt)
    kept = engine.status.kept_pages
    engine.forget(b"one")
    engine.audit()
    assert engine.status.kept_pages == {kind: pages // 2 for kind, pages in kept.items()}
    assert [first(engine, prompt, salt).cached_tokens for salt in (b"one", b"two")] == [0, 19]


def test_too_many_who_wait_are_turned_away(counting: LoadedModel):
    engine = engine_of(counting, max_requests=2, max_waiting=3, max_waiting_per_client=2)
    for _ in range(2 + 2):
        engine.add([1], GREEDY, salt=b"one")
    with pytest.raises(OverloadedError, match="2 requests of this client wait already"):
        engine.add([1], GREEDY, salt=b"one")
    engine.add([2], GREEDY, salt=b"two")
    with pytest.raises(OverloadedError, match="3 requests wait already") as caught:
        engine.add([2], GREEDY, salt=b"three")
    assert caught.value.retry_after == 1.0
    assert len(finish(engine)) == 5
    assert (engine.status.prompt_tokens, engine.status.generated_tokens) == (5, 5 * 12)


def test_salts_keep_callers_apart(counting: LoadedModel):
    engine, prompt = engine_of(counting), random_prompt(20, seed=9)
    cached = [first(engine, prompt, salt).cached_tokens for salt in (b"one", b"two", b"one", b"two")]
    assert cached == [0, 0, 19, 19]


def test_the_caches_bytes_are_told(reference_model: LoadedModel):
    engine = engine_of(reference_model, full_pages=40, sliding_pages=30)
    # Two layers of each kind; a key and a value for 2 heads of 16 floats, in 4 slots a page.
    assert engine.cache_bytes == {"sliding_attention": 30 * 2048, "full_attention": 40 * 2048}
