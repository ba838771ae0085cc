"""How many pages each kind of layer gets, and what they take in bytes.

A slot of one layer is a key and a value for each key/value head: 2 * K * E numbers, of 4 bytes at `exact`, 2 at `fast`,
or 1 in 8 bits, where each head has a scale of 4 more (numpy and torch take 4 for each number whatever they round to:
`Ops.stored_dtype`). At 20b and `fast` that is 2 KiB, so a token costs 24 KiB in the 12 full layers, and a window of 128
costs 3 MiB in the 12 sliding ones, however long the request; in 8 bits 17/32 of that.

Unless the operator says otherwise,

    full layers      min(max_requests * context, 65,536) tokens, but at least one whole context
    sliding layers   for each request the pages of its window, for one step those of its chunk,
                     and `snapshots` windows more, kept for prompts to come

At 20b with one request of 4,096 tokens and `fast`: 96 MiB in full layers and 9 + 33 + 32 * 9 = 330 pages, 124 MiB, in
sliding ones. The memory is asked for at once and given by the system when first touched.
"""

from ossia.config import FULL, SLIDING, ModelConfig
from ossia.engine.config import SHARED_TOKENS, EngineConfig
from ossia.engine.pages import Kind, span
from ossia.errors import CapacityError, ConfigError
from ossia.ops import CacheDtype

__all__ = ["kinds", "needed_bytes", "page_bytes", "slot_bytes"]


def slot_bytes(model: ModelConfig, dtype: CacheDtype) -> int:
    """The bytes of one token's keys and values in one layer."""
    return 2 * model.num_key_value_heads * dtype.head_bytes(model.head_dim)


def page_bytes(model: ModelConfig, kind: str, page_size: int, dtype: CacheDtype) -> int:
    """The bytes of one page in all layers of its kind."""
    layers = model.layer_types.count(kind)
    return layers * page_size * slot_bytes(model, dtype)


def kinds(config: EngineConfig, model: ModelConfig, dtype: CacheDtype) -> list[Kind]:
    """The kinds of layer that this model has, with the pages of each.

    Raises ConfigError if a number of pages given is too small for one request, CapacityError if `cache_bytes` is.
    """
    names = [name for name in (SLIDING, FULL) if name in model.layer_types]
    sliding = (config.sliding_pages or _sliding_pages(config, model)) if SLIDING in names else 0
    full = (config.full_pages or _full_pages(config, model, dtype, sliding)) if FULL in names else 0
    pages, windows = {SLIDING: sliding, FULL: full}, {SLIDING: model.sliding_window, FULL: None}
    found = [Kind(name, windows[name], pages[name], config.page_size) for name in names]
    for kind in found:
        _check(kind, config.context_of(model))
    return found


def needed_bytes(config: EngineConfig, model: ModelConfig, dtype: CacheDtype) -> dict[str, int]:
    """What the cache takes, by kind of layer. Raises what `kinds` raises."""
    found = kinds(config, model, dtype)
    return {kind.name: kind.pages * page_bytes(model, kind.name, kind.page_size, dtype) for kind in found}


def _sliding_pages(config: EngineConfig, model: ModelConfig) -> int:
    # No request is longer than its context, however far its layers could see.
    window = min(span(model.sliding_window, config.page_size), -(-config.context_of(model) // config.page_size))
    return (config.max_requests + config.snapshots) * window + span(config.max_step_tokens, config.page_size)


def _full_pages(config: EngineConfig, model: ModelConfig, dtype: CacheDtype, sliding_pages: int) -> int:
    context, size = config.context_of(model), config.page_size
    if config.cache_bytes is None:
        return -(-max(context, min(config.max_requests * context, SHARED_TOKENS)) // size)
    sliding = sliding_pages * page_bytes(model, SLIDING, size, dtype)
    full = page_bytes(model, FULL, size, dtype)
    least = sliding + -(-context // size) * full
    if config.cache_bytes < least:
        raise CapacityError(
            f"cache_bytes is {config.cache_bytes}; {sliding_pages} pages of sliding layers and a context of {context} "
            f"tokens need {least}; allow that, or take a shorter context or fewer snapshots"
        )
    return (config.cache_bytes - sliding) // full


def _check(kind: Kind, context: int) -> None:
    """One request must be able to reach the end of the context alone, one token at a time."""
    least = kind.most_pages(context, chunk=1)
    if kind.pages < least:
        what = f"a context of {context} tokens" if kind.window is None else f"a window of {kind.window} tokens"
        raise ConfigError(
            f"{kind.name} has {kind.pages} pages of {kind.page_size} tokens; {what} needs at least {least}"
        )
