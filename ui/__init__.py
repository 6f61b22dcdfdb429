"""The page: Gradio components around a Runtime. No torch here, and nothing of `models` but its spec."""
