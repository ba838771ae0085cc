"""Random conversations and schemas in JSON form, from a seed; and how many of them a property is tried on.

A plain generator over `random.Random` makes a thousand in the time in which hypothesis's strategies make thirty.
"""

import os
import random
from collections.abc import Callable
from functools import partial
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

# OSSIA_DEEP=100 tries every property a hundred times as often.
DEEP = int(os.environ.get("OSSIA_DEEP", "1"))

seeds = st.integers(0, 2**64)


def tries(count: int) -> Callable[[Any], Any]:
    """How often to try a property; a single try has no time limit, since the machine may be busy."""
    return settings(max_examples=count * DEEP, deadline=None)


MARKUP = ("<|start|>", "<|end|>", "<|channel|>", "<|message|>", "<|call|>", "<|return|>", "<|constrain|>", "analysis")
TEXTS = ("", "2 + 2?", "It's\n\nfine. ", " x", "日本 👩‍👩‍👧", "a\r\nb\rc\n", "\n", "[]", '"q"\\', "null", *MARKUP)
NUMBERS = (1e-5, -1e-5, 1.5e-5, 1e-4, 1e15, 1e16, -1e16, 1.5e300, 5e-324, -0.0, 100.0, 1.1, 2**63, 2**64, -(2**63) - 1)
TYPES = ("string", "number", "integer", "boolean", "array", "object", "null", "odd")
CHANNELS = ("analysis", "commentary", "final")
CONTENT_TYPES = ("json", "<|constrain|>json", "code", "<|constrain|>")
TOOLS = ("functions.get_weather", "browser.search", "python")
RECIPIENTS = (*TOOLS, "functions.f", "all", "assistant", "user")


class Maker:
    """Makes random pieces of conversations."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def one(self, *makers: Any) -> Any:
        maker = self.random.choice(makers)
        return maker() if callable(maker) else maker

    def some(self, maker: Callable[[], Any], most: int) -> list[Any]:
        return [maker() for _ in range(self.random.randint(0, most))]

    def fields(self, chance: float, **makers: Callable[[], Any]) -> dict[str, Any]:
        """Each of the fields with this chance, in random order."""
        names = [name for name in makers if self.random.random() < chance]
        self.random.shuffle(names)
        return {name: makers[name]() for name in names}

    def choose(self, options: tuple[Any, ...]) -> Callable[[], Any]:
        return lambda: self.random.choice(options)

    def text(self) -> str:
        odd = "".join(
            chr(self.one(self.random.randint(0, 0x2FF), self.random.randint(0xE000, 0x10FFFF))) for _ in "1234"
        )
        return self.one(
            self.random.choice(TEXTS), self.random.choice(TEXTS) + self.random.choice(TEXTS), odd, self.word()
        )

    def text_or_null(self) -> Any:
        return self.one(None, self.text)

    def word(self) -> str:
        return "".join(self.random.choices("abcxyzABC_019", k=self.random.randint(1, 6)))

    def scalar(self) -> Any:
        # Few digits: serde_json reads long ones a unit in the last place off.
        whole, real = (
            self.random.randint(-5, 5),
            float(f"{self.random.randint(-999, 999)}e{self.random.randint(-20, 20)}"),
        )
        return self.one(None, True, False, whole, real, self.random.choice(NUMBERS), self.text)

    def value(self) -> Any:
        return self.one(
            self.scalar, self.scalar, lambda: self.some(self.value, 2), lambda: self.fields(0.3, a=self.value)
        )

    def schema(self, depth: int = 3) -> Any:
        """A schema of any shape that openai-harmony knows, or not, sometimes a damaged one."""
        if depth == 0:
            return {"type": "string"}
        inner = partial(self.schema, depth - 1)
        properties = partial(self.properties, depth - 1)
        fields = self.fields(
            0.25,
            description=self.text,
            title=self.text,
            default=self.value,
            nullable=lambda: self.one(True, False, self.scalar),
            enum=lambda: self.one(lambda: self.some(self.word, 3), lambda: self.some(self.scalar, 3), self.scalar),
            examples=lambda: self.one(lambda: self.some(self.text, 2), self.scalar),
            properties=lambda: self.one(properties, properties, properties, self.scalar),
            required=lambda: self.one(lambda: self.some(self.word, 3), self.scalar),
            items=inner,
            oneOf=lambda: self.one(lambda: self.some(inner, 3), lambda: self.some(inner, 3), self.scalar),
            anyOf=lambda: self.some(inner, 2),
            const=self.value,
            minimum=self.scalar,
        )
        if self.random.random() < 0.9:
            fields["type"] = self.one(self.choose(TYPES), self.choose(TYPES), lambda: self.some(self.choose(TYPES), 2))
        if fields.get("type") == "object":
            fields["properties"] = properties()
            fields["required"] = self.random.sample(sorted(fields["properties"]), len(fields["properties"]) // 2)
        return self.scalar() if self.random.random() < 0.03 else fields

    def tool(self) -> Any:
        optional = self.fields(0.8, parameters=lambda: {"type": "object"} | self.fields(1, properties=self.properties))
        return {"name": self.word(), "description": self.text()} | optional

    def properties(self, depth: int = 3) -> Any:
        return {self.one(self.word, self.word, self.text): self.schema(depth) for _ in range(self.random.randint(0, 3))}

    def namespaces(self) -> Any:
        keys = self.random.sample(["functions", "functions", "browser", "a", "é"], self.random.randint(0, 2))
        return {key: self.namespace(key) for key in keys}

    def namespace(self, name: str) -> Any:
        return {"name": name, "tools": self.some(self.tool, 2)} | self.fields(0.5, description=self.text_or_null)

    def channel_config(self) -> Any:
        return {"valid_channels": self.some(self.choose(CHANNELS), 3), "channel_required": self.one(True, False)}

    def system_content(self) -> Any:
        return {"type": "system_content"} | self.fields(
            0.4,
            model_identity=self.text_or_null,
            reasoning_effort=self.choose(("Low", "Medium", "High", None)),
            conversation_start_date=self.choose(("2025-06-28", None)),
            knowledge_cutoff=self.text_or_null,
            channel_config=lambda: self.one(None, self.channel_config),
            tools=lambda: self.one(None, self.namespaces),
        )

    def developer_content(self) -> Any:
        optional = self.fields(0.6, instructions=self.text_or_null, tools=self.namespaces)
        return {"type": "developer_content"} | optional

    def text_content(self) -> Any:
        return {"type": "text", "text": self.text()}

    def message(self) -> Any:
        role = self.random.choice(("system", "developer", "user", "assistant", "assistant", "tool"))
        own = {"system": self.system_content, "developer": self.developer_content}.get(role, self.text_content)
        optional = self.fields(
            0.4,
            channel=self.choose(CHANNELS),
            recipient=self.choose(RECIPIENTS),
            content_type=self.choose(CONTENT_TYPES),
            name=lambda: self.one(None, self.word),
        )
        required = {
            "role": role,
            "content": self.one(
                self.text, lambda: [own()], partial(self.some, lambda: self.one(own, self.text_content), 2)
            ),
        }
        return required | optional | ({"name": self.random.choice(TOOLS)} if role == "tool" else {})

    def conversation(self) -> Any:
        return {"messages": self.some(self.message, 6)}

    def exact_header(self) -> tuple[Any, ...]:
        """Role, channel, recipient, content type and name that a header says without ambiguity."""
        role = self.random.choice(("system", "developer", "user", "assistant", "tool"))
        recipient = self.one(None, self.choose(("functions.f", "browser.search", "python", "user")))
        content_type = self.one(None, self.choose(CONTENT_TYPES)) if recipient else self.one(None, "<|constrain|>json")
        name = self.random.choice(TOOLS) if role == "tool" else self.one(None, self.word)
        return role, self.one(None, self.choose(CHANNELS)), recipient, content_type, name

    def completion(self) -> str:
        """What a model writes for one message, with its `<|start|>`."""
        to = self.one("", "", " to=functions.f", " to=python")
        kind = self.one("", " json", " <|constrain|>json", "<|constrain|>json")
        places = self.random.choice((to, "")) if to else ""
        header = f"assistant{places}<|channel|>{self.random.choice(CHANNELS)}{'' if places else to}{kind}"
        return f"<|start|>{header}<|message|>{self.text()}{self.one('<|end|>', '<|call|>', '<|return|>')}"
