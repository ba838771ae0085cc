"""The turn itself: prompt, output, calls, and again until there is an answer."""

from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass, replace

from ossia.assistant.events import (
    Answer,
    CallTool,
    Ended,
    Event,
    Finish,
    Generate,
    Kind,
    Proceed,
    Turn,
    Usage,
    Want,
)
from ossia.assistant.reader import Reader
from ossia.assistant.repetition import Loop
from ossia.engine import Output, SamplingParams
from ossia.grammar import Rules
from ossia.harmony import (
    Conversation,
    DeveloperContent,
    Effort,
    Message,
    Repair,
    SystemContent,
    Vocabulary,
    render,
)

__all__ = ["opening", "turn"]


def opening(effort: Effort, instructions: str | None = None, date: str | None = None) -> tuple[Message, ...]:
    """What a conversation begins with: the system's message, and the developer's if there are instructions.

    `date` is today's, as YYYY-MM-DD, if the model is to know it.
    """
    system = Message("system", SystemContent(reasoning_effort=effort, conversation_start_date=date))
    return (system,) if instructions is None else (system, Message("developer", DeveloperContent(instructions)))


def turn(
    conversation: Conversation,
    vocabulary: Vocabulary,
    params: SamplingParams | None = None,
    *,
    rules: Rules | None = None,
    stop: Sequence[str] = (),
    loop: Loop | None = None,
    tools: Collection[str] = (),
    faithful: bool = False,
    prompt: Sequence[int] | None = None,
) -> Generator[Want | Event, Answer, Turn]:
    """The assistant's next turn in a conversation; see the package for what it yields and is sent.

    `rules` are what its outputs must look like; None masks nothing. `stop` ends the turn where one of these strings
    comes in what the user reads; it is cut off. `loop` says from when on a repetition ends the turn. `tools` are the
    recipients that CallTool may be asked for: full names such as functions.add, or namespaces such as browser.
    `params.max_tokens` and the rules' `max_reasoning_tokens` bound the whole turn. `faithful` renders schemas in full.
    `prompt` is the conversation's rendering, if it is at hand.

    Raises ConversationError for a conversation that is not one.
    """
    params = params or SamplingParams()
    messages: list[Message] = []
    done = _Said((), (), "stop", Usage(), 0)
    while True:
        if prompt is None or messages:
            prompt = render(Conversation((*conversation.messages, *messages)), vocabulary, faithful=faithful)
        left = params.max_tokens and params.max_tokens - done.usage.generated_tokens
        wanted = Generate(tuple(prompt), replace(params, max_tokens=left), _source(rules, done.usage))
        said = yield from _said(wanted, Reader(vocabulary, stop, loop))
        messages += said.messages
        done = said.after(done)
        # The rounds of a turn share a seed, so that one number makes the whole of it again.
        params = replace(params, seed=said.seed)
        finish, calls = _outcome(said, tools, params.max_tokens, done.usage)
        if not calls:
            return Turn(tuple(messages), finish, done.usage, done.repairs, said.seed, said.stopped_by, said.failure)
        # What had to be called has been.
        rules = rules and replace(rules, choice="auto" if rules.choice != "none" else "none")
        for call in calls:
            answers = _as_messages((yield CallTool(call)))
            messages += answers
            for message in answers:
                yield Ended(message)


@dataclass(frozen=True)
class _Said:
    """What came of one prompt, or of all so far."""

    messages: tuple[Message, ...]
    repairs: tuple[Repair, ...]
    finish: Finish
    usage: Usage
    seed: int
    stopped_by: str | None = None
    failure: str | None = None

    def after(self, before: "_Said") -> "_Said":
        """This, with what was repaired and used before it."""
        return replace(self, repairs=before.repairs + self.repairs, usage=before.usage + self.usage)


def _source(rules: Rules | None, usage: Usage) -> str | None:
    if rules is None:
        return None
    if rules.max_reasoning_tokens is not None:
        rules = replace(rules, max_reasoning_tokens=max(0, rules.max_reasoning_tokens - usage.reasoning_tokens))
    return rules.to_source()


def _said(wanted: Generate, reader: Reader) -> Generator[Want | Event, Answer, _Said]:
    output = _as_output((yield wanted))
    while True:
        yield from reader.read(output)
        if output.finish or reader.over:
            break
        output = _as_output((yield Proceed()))
    yield from reader.finish(cut=output.finish != "stop")
    finish: Finish = "stop" if reader.stopped_by else "repetition" if reader.circling else output.finish or "stop"
    usage = Usage(output.prompt_tokens, output.cached_tokens, output.generated_tokens, reader.reasoning_tokens)
    failure = output.failure if finish == "no_token" else None
    return _Said(tuple(reader.messages), reader.repairs, finish, usage, output.seed, reader.stopped_by, failure)


def _outcome(
    said: _Said, tools: Collection[str], max_tokens: int | None, usage: Usage
) -> tuple[Finish, Sequence[Message]]:
    """Why the turn ends, or the calls that have to be answered before it goes on."""
    calls = [message for message in said.messages if Kind.of(message) is Kind.CALL]
    if said.finish != "stop" or said.stopped_by is not None or not calls:
        return said.finish, ()
    if not all(_offered(call.recipient or "", tools) for call in calls):
        return "tool_calls", ()
    if max_tokens is not None and usage.generated_tokens >= max_tokens:
        return "length", ()
    return said.finish, calls


def _offered(recipient: str, tools: Collection[str]) -> bool:
    return recipient in tools or recipient.partition(".")[0] in tools


def _as_output(answer: Answer) -> Output:
    if not isinstance(answer, Output):
        raise TypeError(f"Generate and Proceed are answered with an Output, not {type(answer).__name__}")
    return answer


def _as_messages(answer: Answer) -> tuple[Message, ...]:
    if not isinstance(answer, tuple):
        raise TypeError(f"CallTool is answered with a tuple of messages, not {type(answer).__name__}")
    return answer
