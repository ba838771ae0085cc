"""OpenAI's Completions: raw Harmony in and out.

The prompt is what its writer makes of it: in text, control tokens by their names are control tokens, and token ids are
taken as they are. Nothing is rendered, parsed or masked. With `echo` and `logprobs`, the prompt's tokens are scored.

request       what a client sends, as what each answer needs
writing       one answer as it is written
routes        /v1/completions
tokenization  /tokenize, /detokenize, /render
"""

from ossia.server.completions import routes, tokenization

__all__ = ["endpoints"]

endpoints = (*routes.endpoints, *tokenization.endpoints)
