"""Many requests at once over one model: tokens in, tokens out.

request   what is asked, and how far it has come
pages     the cache's pages as integers: free, held, found again
prefix    which request holds which pages, and going on from a prefix computed before
memory    how many pages there are
fairness  who was served how much
scheduler which tokens of which requests a step computes
overload  how many may wait, and when to come again
runner    a step as one batch through the model
sampler   what each row is drawn with, and its draw
lookup    guessing how a text goes on from its own past
beginning what is kept of first messages for another start
replay    text that is already there, drawn again
engine    `step`, which ties them together
"""

from ossia.engine.beginning import Beginnings
from ossia.engine.config import EngineConfig, SamplingParams
from ossia.engine.engine import Engine, Status
from ossia.engine.replay import Replay
from ossia.engine.request import Drafter, Finish, Grammar, Logprob, Output
from ossia.engine.runner import LoadedModel

__all__ = [
    "Beginnings",
    "Drafter",
    "Engine",
    "EngineConfig",
    "Finish",
    "Grammar",
    "LoadedModel",
    "Logprob",
    "Output",
    "Replay",
    "SamplingParams",
    "Status",
]
