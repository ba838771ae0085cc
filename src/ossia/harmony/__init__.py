"""Harmony, the conversation format of gpt-oss: its tokens, its messages, rendering and parsing."""

from ossia.harmony.builtin_tools import BROWSER, PYTHON
from ossia.harmony.byte_pairs import O200K_PATTERN
from ossia.harmony.header import Header
from ossia.harmony.messages import (
    FUNCTIONS,
    Content,
    Conversation,
    DeveloperContent,
    Effort,
    Message,
    ResponseFormat,
    Role,
    SystemContent,
    Tool,
    ToolNamespace,
)
from ossia.harmony.o200k import CONTROL_TOKENS
from ossia.harmony.parse import Event, Finished, Parsed, Parser, Started, Text, parse
from ossia.harmony.render import Purpose, drop_finished_analysis, render
from ossia.harmony.repairs import Repair, RepairKind
from ossia.harmony.vocabulary import Decoder, Vocabulary

__all__ = [
    "BROWSER",
    "CONTROL_TOKENS",
    "FUNCTIONS",
    "O200K_PATTERN",
    "PYTHON",
    "Content",
    "Conversation",
    "Decoder",
    "DeveloperContent",
    "Effort",
    "Event",
    "Finished",
    "Header",
    "Message",
    "Parsed",
    "Parser",
    "Purpose",
    "Repair",
    "RepairKind",
    "ResponseFormat",
    "Role",
    "Started",
    "SystemContent",
    "Text",
    "Tool",
    "ToolNamespace",
    "Vocabulary",
    "drop_finished_analysis",
    "parse",
    "render",
]
