"""Learning from graded answers, on a toy; and the weights of what is learned, worked out by hand."""

from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ossia.config import ModelConfig
from ossia.errors import OssiaError
from ossia.harmony import Effort
from ossia.model import forward, prepare
from ossia.train.packing import UNLEARNED
from ossia.train.parameters import initial_parameters
from ossia.train.train_ops import TrainOps
from recipes.nano.arithmetic import problem
from recipes.nano.case import Case, called
from recipes.nano.cells import CELLS
from recipes.nano.conversation import Format, Prefix, vocabulary
from recipes.nano.decode import generate
from recipes.nano.reward import (
    Question,
    RewardConfig,
    Rewarded,
    advantages,
    draw_questions,
    engine_sampler,
    grade,
    rewarded_batch,
)
from recipes.nano.shape import model_config

pytestmark = pytest.mark.torch

SIZE, STOP, WANTED = 16, 1, 7


def toy() -> ModelConfig:
    small = {"num_hidden_layers": 1, "hidden_size": 32, "intermediate_size": 32, "num_local_experts": 2}
    layers = {"num_experts_per_tok": 1, "layer_types": ("full_attention",), "num_attention_heads": 2}
    return replace(model_config(SIZE, STOP, 0), **small, **layers, num_key_value_heads=1, head_dim=16)


def worth(answer: object) -> float:
    """Only the wanted token, and then the end, is worth something."""
    return float(list(answer) == [WANTED, STOP])  # type: ignore[call-overload] # tokens


def stage(rounds: int, reward: object = worth) -> Rewarded:
    questions = [Question([2, 3], [4], reward), Question([2, 3], [5, 6], reward)]  # type: ignore[arg-type]
    learning = RewardConfig(rounds=rounds, questions=2, samples=32, limit=2, rate=0.03)
    return Rewarded(toy(), learning, sampled, lambda _: questions)


def sampled(parameters: object, prompts: object, temperature: float, seed: int) -> list[list[int]]:
    return generate(toy(), parameters, prompts, [STOP], 2, temperature=temperature, seed=seed)  # type: ignore[arg-type]


def test_what_is_worth_more_becomes_likelier():
    one = stage(40)
    first = [one.step() for _ in range(40)][:5]
    # By chance one pair of tokens in 256 is the wanted one.
    assert sum(first) / 5 < 0.1
    assert sum(one.rewards[-5:]) / 5 > 0.9


def test_where_all_answers_are_worth_the_same_nothing_is_learned():
    one = stage(2, lambda answer: 0.5)
    before = {name: value.detach().clone() for name, value in one.parameters.items()}
    one.step()
    assert all(torch.equal(before[name], value) for name, value in one.parameters.items())


def test_a_stage_goes_on_where_it_was(tmp_path: Path):
    whole, first = stage(4), stage(4)
    for _ in range(4):
        whole.step()
    first.step()
    first.step()
    first.save(tmp_path / "state.pt", before=0.25)
    again = stage(4)
    assert again.load(tmp_path / "state.pt")["before"] == 0.25
    again.step()
    again.step()
    assert again.rewards == whole.rewards
    assert all(torch.equal(value, whole.parameters[name]) for name, value in again.parameters.items())


def test_advantages_are_what_is_above_the_mean_of_a_question():
    better = advantages(np.asarray([[1.0, 0.0, 0.0, 1.0], [0.5, 0.5, 0.5, 0.5]]))
    assert better.tolist() == [[0.5, -0.5, -0.5, 0.5], [0, 0, 0, 0]]


def test_weights_stand_at_the_tokens_of_their_answers():
    questions = [Question([2, 3], [4], worth), Question([9], [5, 6], worth), Question([2, 3], [8], worth)]
    answers = [[[10, 11], [12]], [[13], [14, 15, 1]], [[1], [2]]]
    batch, weights = rewarded_batch(questions, answers, np.asarray([[0.5, -0.5], [0.0, 0.25], [1.0, 0.0]]))
    assert batch is not None
    learned = [(int(token), float(weight)) for token, weight in zip(batch.targets, weights, strict=True)]
    assert learned[:7] == [(10, 0.5), (11, 0.5), (12, -0.5), (1, 1.0), (14, 0.25), (15, 0.25), (1, 0.25)]
    assert all(token == UNLEARNED and weight == 0 for token, weight in learned[7:])
    assert [(rows.stop - rows.start, len(starts) - 1) for rows, starts in batch.spans] == [(2, 3), (1, 1)]


def test_the_gradient_is_that_of_the_weighed_likelihood():
    one = stage(1)
    questions = [Question([2, 3], [4], worth)]
    batch, weights = rewarded_batch(questions, [[[7, 1], [5]]], np.asarray([[0.5, -0.5]]))
    assert batch is not None
    loss = one._policy_loss(batch, weights)
    ops = TrainOps(torch.float32, quantise=True)
    with torch.no_grad():
        made = prepare(ops, one.config, one.parameters)  # type: ignore[arg-type] # tensors
        logits = forward(ops, one.config, made, batch)[:3]
        likely = F.log_softmax(logits.float(), -1)[torch.arange(3), torch.tensor([7, 1, 5])]
    assert loss.item() == pytest.approx(-(0.5 * (likely[0] + likely[1]) - 0.5 * likely[2]).item() / 3, abs=0.02)


def test_samples_have_the_models_shares():
    config, count = toy(), 2000
    one = stage(1)
    one.parameters["lm_head.weight"].data *= 30
    drawn = generate(config, one.parameters, [[2, 3]] * count, [STOP], 1, temperature=1.0, seed=3)
    ops = TrainOps(torch.float32, quantise=True)
    batch, _ = rewarded_batch([Question([2], [3], worth)], [[[0]]], np.asarray([[1.0]]))
    assert batch is not None
    with torch.no_grad():
        logits = forward(ops, config, prepare(ops, config, one.parameters), batch)[0]  # type: ignore[arg-type]
    shares = np.bincount([answer[0] for answer in drawn], minlength=SIZE) / count
    # Four standard deviations of the largest that a share of 2,000 draws has.
    assert np.abs(shares - logits.softmax(-1).numpy()).max() < 4 * (0.25 / count) ** 0.5
    assert generate(config, one.parameters, [[2, 3]] * 8, [STOP], 4, temperature=1.0, seed=3)[:8] != drawn[:8]


def test_grades():
    case = Case(Prefix(Effort.HIGH), (), problem("*", 37, 48))
    assert grade(case, "<|channel|>final<|message|>1776<|return|>") == 1
    assert grade(case, "<|channel|>final<|message|>1777<|return|>") == pytest.approx(0.1)
    assert grade(case, "1776") == 0
    call = CELLS["call"](Random(0), Effort.HIGH)
    assert grade(call, called(call.problem.calls[0])) == 1


def test_questions_are_those_of_training_and_the_same_in_every_run():
    form = Format(vocabulary())
    one, again = draw_questions(form, 8, 3), draw_questions(form, 8, 3)
    assert [list(question.prompt) for question in one] == [list(question.prompt) for question in again]
    assert len({tuple(question.prefix) for question in one}) == 2
    assert all(question.worth([form.vocabulary.return_]) == 0 for question in one)


def test_the_engine_answers_as_the_parameters_say():
    form = Format(vocabulary())
    config = model_config(form.vocabulary.size, form.vocabulary.return_, form.vocabulary.endoftext)
    parameters = initial_parameters(config, seed=0)
    # So that products are exact enough for the likeliest token to be the same in float32 and in bfloat16.
    parameters["lm_head.weight"].data = parameters["lm_head.weight"].data.bfloat16().float()
    sample = engine_sampler(form, 3)
    prompts = [form.vocabulary.encode("What is 2 + 2?"), form.vocabulary.encode("Hello")]
    answers = sample(parameters, prompts, 0.0, 0)
    assert answers == generate(config, parameters, prompts, form.vocabulary.stop_tokens, 3)
    hot = [sample(parameters, prompts, 1.0, seed) for seed in (0, 0, 100)]
    assert hot[0] == hot[1] != hot[2]


def test_another_models_checkpoint_is_refused(tmp_path: Path):
    saved = tmp_path / "rewarded.pt"
    stage(rounds=1).save(saved, before=0.25)
    wider = Rewarded(replace(toy(), hidden_size=64), RewardConfig(), sampled, lambda _: [])
    with pytest.raises(OssiaError, match=r"rewarded\.pt holds the parameters of another model"):
        wider.load(saved)
