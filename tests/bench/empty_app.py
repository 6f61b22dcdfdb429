"""The least that Gradio serves, for comparison."""

import gradio as gr

with gr.Blocks() as app:
    pass

app.launch()
