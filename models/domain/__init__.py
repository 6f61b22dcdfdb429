"""What is asked for and what it costs: plain values, no torch, no gradio, no network."""
