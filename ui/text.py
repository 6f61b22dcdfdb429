"""The page's own words, in English and Chinese; the browser's language decides which are shown."""

from __future__ import annotations

import gradio as gr

EN = {
    "model": "Model",
    "model_info": "grouped by family; chat models answer, base models continue",
    "quantization": "Quantization",
    "quantization_info": "how the weights are held in memory",
    "variant": "Variant",
    "variant_info": "copy it for links, the API and the command line; paste one and press Enter",
    "memory": "In memory",
    "sampling": "Sampling",
    "chat": "Chat",
    "complete": "Complete",
    "system": "System prompt",
    "system_placeholder": "optional, for example: You answer in one sentence.",
    "base_prompt": "Prompt parts",
    "instruction": "Instruction",
    "question": "Question",
    "answer": "Answer",
    "message_placeholder": "Ask something…",
    "prompt_sent": "Prompt sent to the model",
    "text": "Text",
    "text_placeholder": "Once upon a time",
    "continue": "Continue",
    "stop": "Stop",
    "undo": "Undo",
    "link": "Link to this",
    "link_make": "Write the link",
    "max_new_tokens": "Longest answer (tokens)",
    "temperature": "Temperature",
    "temperature_info": "0 always takes the likeliest token",
    "top_p": "Top-p",
    "top_k": "Top-k",
    "top_k_info": "0 switches it off",
    "min_p": "Min-p",
    "repetition_penalty": "Repetition penalty",
    "seed": "Seed",
    "seed_info": "empty for a new one each time",
    "stop_strings": "Stop at",
    "stop_strings_info": "one text a line",
}
ZH = {
    "model": "模型",
    "model_info": "按系列分组；对话模型回答问题，基础模型续写文本",
    "quantization": "量化",
    "quantization_info": "权重在内存中的存放方式",
    "variant": "变体",
    "variant_info": "可用于链接、API 和命令行；粘贴后按回车即可选用",
    "memory": "已加载",
    "sampling": "采样",
    "chat": "对话",
    "complete": "续写",
    "system": "系统提示词",
    "system_placeholder": "可选，例如：请用一句话回答。",
    "base_prompt": "提示词的三个部分",
    "instruction": "说明",
    "question": "问题前缀",
    "answer": "回答前缀",
    "message_placeholder": "问点什么…",
    "prompt_sent": "实际发送给模型的提示词",
    "text": "文本",
    "text_placeholder": "从前",
    "continue": "续写",
    "stop": "停止",
    "undo": "撤销",
    "link": "当前页面链接",
    "link_make": "生成链接",
    "max_new_tokens": "最长回答（词元）",
    "temperature": "温度",
    "temperature_info": "0 表示总是取最可能的词元",
    "top_p": "Top-p",
    "top_k": "Top-k",
    "top_k_info": "0 表示关闭",
    "min_p": "Min-p",
    "repetition_penalty": "重复惩罚",
    "seed": "随机种子",
    "seed_info": "留空则每次随机",
    "stop_strings": "停止文本",
    "stop_strings_info": "每行一个",
}
I18N = gr.I18n(en=EN, zh=ZH, **{"zh-CN": ZH})

EXAMPLES = (
    "Explain what a tokenizer does in two sentences.",
    "Write a haiku about a slow computer.",
    "What is the difference between a base model and a chat model?",
)


def t(key: str) -> gr.I18n:
    """The translated text of a key that exists in every language."""
    assert key in EN, key
    return I18N(key)
