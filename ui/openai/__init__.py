"""The OpenAI-compatible door for programs: /v1/models, /v1/chat/completions and /v1/completions."""
