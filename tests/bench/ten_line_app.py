"""The usual Gradio chat Space, for comparison: python ten_line_app.py SNAPSHOT NEW_TOKENS."""

import sys
from threading import Thread

import gradio as gr
from transformers import AutoModelForCausalLM, AutoTokenizer, TextIteratorStreamer

tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])


def chat(message, history):
    turns = [*history, {"role": "user", "content": message}]
    inputs = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
    settings = {"streamer": streamer, "max_new_tokens": int(sys.argv[2]), "do_sample": False}
    Thread(target=model.generate, kwargs={**inputs, **settings}).start()
    text = ""
    for piece in streamer:
        text += piece
        yield text


gr.ChatInterface(chat).launch()
