"""The page's own words, in English and Chinese; the browser's language decides which are shown."""

from __future__ import annotations

from html import escape

import gradio as gr

# By key: English, Chinese.
TEXTS = {
    "claim": (
        "Which open model is good enough for my task and fits my hardware?",
        "哪个开源模型足以完成我的任务，又能在我的硬件上运行？",
    ),
    "use_code": ("Use from code", "在代码中使用"),
    "use_elsewhere": ("Use elsewhere", "在别处运行"),
    "skip": ("Skip to the prompt", "跳到提示词"),
    "adapters": ("Adapters", "适配器"),
    "adapters_info": (
        "LoRA: several at once; each gets a strength from -2 to 2",
        "LoRA：可同时使用多个，各自的强度从 -2 到 2",
    ),
    "more_adapters": ("More adapters", "更多适配器"),
    "search_hub": ("List those on the Hub", "列出 Hub 上的适配器"),
    "upload_name": ("Name of your adapter", "适配器的名称"),
    "upload_name_info": ("optional; otherwise the name of the file", "可选；不填则使用文件名"),
    "upload_adapter": (
        "Your own: adapter_config.json and adapter_model.safetensors",
        "自己的：adapter_config.json 和 adapter_model.safetensors",
    ),
    "access": ("Gated models", "受限模型"),
    "own_token": ("Your Hugging Face token", "您的 Hugging Face 令牌"),
    "own_token_info": (
        "used for what you ask for, until you leave this page; press Enter to pick the model again",
        "仅用于您自己的请求，离开本页即失效；按回车重新选择模型",
    ),
    "check_access": ("Check my access to the picked model", "检查我对所选模型的访问权限"),
    "duplicate": ("Duplicate this Space", "复制这个 Space"),
    "variant": ("Variant", "变体"),
    "variant_info": (
        "copy it for links, the API and the command line; paste one and press Enter",
        "可用于链接、API 和命令行；粘贴后按回车即可选用",
    ),
    "context": ("Context to plan for", "估算所用的上下文"),
    "context_info": ("tokens of one conversation", "词元；假设对话有这么长"),
    "memory": ("In memory", "内存中的模型"),
    "sampling": ("Sampling", "采样"),
    "thinking": ("Thinking", "思考"),
    "thinking_budget": ("Longest thought (tokens)", "最长思考（词元）"),
    "thinking_budget_info": ("then the answer begins", "达到后即开始回答"),
    "chat": ("Chat", "对话"),
    "history": ("Conversations", "历史对话"),
    "history_lead": (
        "They are kept in this browser alone; the server keeps none.",
        "只保存在这个浏览器里，服务器不保存任何对话。",
    ),
    "history_search": ("Search", "搜索"),
    "history_new": ("New conversation", "新对话"),
    "history_none": ("None.", "没有对话。"),
    "history_rename": ("Rename", "重命名"),
    "history_delete": ("Delete", "删除"),
    "history_deleted": ("Deleted.", "已删除。"),
    "history_export": ("Export all", "全部导出"),
    "history_import": ("Import (.json, .md)", "导入（.json、.md）"),
    "history_imported": ("{count} imported.", "已导入 {count} 个对话。"),
    "history_not_imported": (
        "{count} imported; {wrong} could not be read.",
        "已导入 {count} 个对话，{wrong} 个无法读取。",
    ),
    "history_no_file": ("No conversation could be read in it.", "文件中没有可读取的对话。"),
    "history_private": ("Private: this tab keeps no conversation", "隐私模式：此标签页不保存对话"),
    "history_nothing_private": (
        "What is said in this tab from now on is gone when it is closed or reloaded.",
        "此后在本标签页中的对话，关闭或刷新后即消失。",
    ),
    "history_full": (
        "This browser has no room for more conversations: what is added to this one is lost when the page is left. "
        "Export and delete some under Conversations.",
        "浏览器的存储空间已满：离开本页后，这个对话的新内容会丢失。请在“历史对话”中导出并删除一些。",
    ),
    "embed": ("Embed in a page", "嵌入网页"),
    "embed_title": ("Put this into another page", "嵌入到其他网页"),
    "embed_lead": (
        "Variant, prompt and sampling are those of the link. What is said there is not kept.",
        "变体、提示词和采样设置与链接一致；嵌入页中的对话不会保存。",
    ),
    "embed_chat": ("Chat", "对话"),
    "embed_answer": ("One prompt and its answer", "单个提示词及其回答"),
    "embed_compare": ("Comparison", "对比"),
    "embed_iframe": ("For the page's HTML", "粘贴到网页 HTML 中"),
    "embed_component": (
        "As a web component, light or dark like the page around it",
        "Web 组件，明暗与所在网页一致",
    ),
    "embed_link": ("The address alone", "仅地址"),
    "embed_preview": ("Preview", "预览"),
    "embed_lock": (
        "Fix variant, sampling and system prompt: whoever opens it can change nothing but the prompt",
        "固定变体、采样设置和系统提示词：打开者只能修改提示词",
    ),
    "embed_key": ("The operator's key (PADDOCK_LINK_KEY)", "运营者密钥（PADDOCK_LINK_KEY）"),
    "embed_sign": ("Sign", "签名"),
    "embed_fixed": ("fixed", "已固定"),
    "embed_open": ("Open the whole page", "打开完整页面"),
    "copy": ("Copy", "复制"),
    "close": ("Close", "关闭"),
    "complete": ("Complete", "续写"),
    "workshop": ("Workshop", "工坊"),
    "workshop_lead": (
        "Weights in and out, for who runs this server: paths are on its disk. Where no path is given, it is the "
        "variant that is picked at the top.",
        "权重的读取与写出，供运行这台服务器的人使用：路径都在服务器上。不填路径时，使用顶部所选的变体。",
    ),
    "workshop_show": ("Look inside", "查看内容"),
    "workshop_to_gguf": ("To GGUF", "转为 GGUF"),
    "workshop_disk": ("Disk", "磁盘"),
    "workshop_save": ("Save", "保存"),
    "workshop_convert": ("From Meta", "转换 Meta 文件"),
    "workshop_push": ("Publish", "发布"),
    "workshop_key": ("Operator's key", "管理密钥"),
    "workshop_path": ("Folder or file", "文件夹或文件"),
    "workshop_path_info": ("empty: the picked variant", "留空：所选的变体"),
    "workshop_meta": ("Folder with Meta's files", "含有 Meta 文件的文件夹"),
    "workshop_meta_info": (
        "params.json, tokenizer.model, consolidated.00.pth and so on",
        "params.json、tokenizer.model、consolidated.00.pth 等",
    ),
    "workshop_out_file": ("File to write", "要写入的文件"),
    "workshop_out_folder": ("Folder to write", "要写入的文件夹"),
    "workshop_out_info": ("that does not exist yet", "须尚不存在"),
    "workshop_kind": ("Type", "类型"),
    "workshop_shard": ("Largest file", "单个文件的上限"),
    "workshop_repo": ("Repository", "仓库"),
    "workshop_base": ("Base", "基座模型"),
    "workshop_base_info": ("OWNER/NAME, where it is not noted", "OWNER/NAME，仅在没有记录时填写"),
    "workshop_licence": ("Licence of the base", "基座模型的许可证"),
    "workshop_licence_info": ("where it is not known, such as apache-2.0", "仅在未知时填写，例如 apache-2.0"),
    "workshop_licence_file": ("File with its text", "许可证全文的文件"),
    "workshop_licence_file_info": ("where it has to go along", "仅在必须附上时填写"),
    "workshop_private": ("Private", "私有"),
    "workshop_only_show": ("Only show the card and the files", "只显示模型卡和文件"),
    "workshop_look": ("Look", "查看"),
    "workshop_write": ("Write", "写入"),
    "workshop_send": ("Publish", "发布"),
    "workshop_list": ("List", "列出"),
    "workshop_name": ("Remove", "删除"),
    "workshop_name_info": ("what is in use stays", "正在使用的会保留"),
    "workshop_remove": ("Remove it", "删除"),
    "reference": ("Reference", "参照"),
    "scored_text": ("Text that is scored", "用于评分的文本"),
    "csv": ("Download CSV", "下载 CSV"),
    "markdown": ("Download Markdown", "下载 Markdown"),
    "system": ("System prompt", "系统提示词"),
    "system_placeholder": ("optional, for example: You answer in one sentence.", "可选，例如：请用一句话回答。"),
    "base_prompt": ("Prompt of base models", "基础模型提示词的三个部分"),
    "instruction": ("Instruction", "说明"),
    "question": ("Question", "问题前缀"),
    "answer": ("Answer", "回答前缀"),
    "chat_empty": (
        "**Ask the model something, or press an example.**\n\nIts speed and how it ended stand under each answer. "
        "Another model, size or quantization is picked under the name of this one, at the top.",
        "**向模型提问，或点一个示例。**\n\n每个回答下方会显示速度和结束原因。点顶部的模型名称，"
        "可以换模型、大小或量化方式。",
    ),
    "base_explained": (
        "**This is a base model.** It only continues text and has no chat template, so the conversation "
        "is written out in these three parts.",
        "**这是基础模型。**它只会续写文本，没有对话模板，因此对话会按以下三个部分写出。",
    ),
    "message_placeholder": ("Ask something…", "问点什么…"),
    "raw": ("Raw text", "原始文本"),
    "prompt_sent": ("Prompt sent to the model", "实际发送给模型的提示词"),
    "text": ("Text", "文本"),
    "text_placeholder": ("Once upon a time", "从前"),
    "continue": ("Continue", "续写"),
    "stop": ("Stop", "停止"),
    "undo": ("Undo", "撤销"),
    "link_copy": ("Copy link", "复制链接"),
    "link_talk": ("Copy it with the conversation", "连同对话一起复制"),
    "link_hub": ("Copy the Hub's link", "复制 Hub 上的链接"),
    "link_file": ("Save as a file instead", "改为保存成文件"),
    "theme": ("Theme", "主题"),
    "language": ("中文", "English"),
    "max_new_tokens": ("Longest answer (tokens)", "最长回答（词元）"),
    "temperature": ("Temperature", "温度"),
    "temperature_info": ("0 always takes the likeliest token", "0 表示总是取最可能的词元"),
    "top_p": ("Top-p", "Top-p"),
    "top_k": ("Top-k", "Top-k"),
    "top_k_info": ("0 switches it off", "0 表示关闭"),
    "min_p": ("Min-p", "Min-p"),
    "repetition_penalty": ("Repetition penalty", "重复惩罚"),
    "seed": ("Seed", "随机种子"),
    "seed_info": ("empty for a new one each time", "留空则每次随机"),
    "stop_strings": ("Stop at", "停止文本"),
    "stop_strings_info": ("one text a line", "每行一个"),
    "compare": ("Compare", "对比"),
    "compare_lead": (
        "The same prompt to several variants: answers side by side, what each costs, and which is good enough.",
        "同一个提示词发给多个变体：并排看回答、各自的代价，以及哪一个已经够用。",
    ),
    "add_candidates": ("Add candidates", "添加候选"),
    "add_modes": ("Quantizations", "量化方式"),
    "add_strengths": ("Strengths", "强度"),
    "add_ticked": ("Add these", "添加所选"),
    "add_short": ("Add", "添加"),
    "add_spelling": ("Or paste variants", "或粘贴变体"),
    "add_spelling_info": ("several at once, separated by commas or lines", "可一次粘贴多个，用逗号或换行分隔"),
    "add_current": ("Add current selection", "添加当前所选"),
    "preset_modes": ("All quantizations", "所有量化方式"),
    "preset_sizes": ("Sizes that fit", "放得下的各种大小"),
    "preset_caches": ("KV cache types", "KV 缓存类型"),
    "preset_adapters": ("Base and adapters", "基座与适配器"),
    "preset_strengths": ("Adapter strengths", "适配器强度"),
    "preset_kinds": ("Base and chat", "基础与对话"),
    "compare_prompt": ("Prompt", "提示词"),
    "compare_placeholder": ("Ask all of them something…", "向所有变体提问…"),
    "several": ("Several prompts", "多个提示词"),
    "several_info": ("one a line, up to 20; each is asked for itself", "每行一个，最多 20 个；彼此独立提问"),
    "prompts_file": ("From a file", "从文件读取"),
    "follow_up": ("Follow up", "追问"),
    "new": ("New", "新建"),
    "compare_options": ("System prompt and options", "系统提示词与选项"),
    "greedy": ("Greedy", "贪心解码"),
    "greedy_info": (
        "the likeliest token, so that runs repeat; off: as the sidebar says, one seed for all",
        "总取最可能的词元，结果可重复；关闭则按侧栏采样，所有变体用同一随机种子",
    ),
    "one_pass": ("One pass for adapters", "适配器一次算完"),
    "one_pass_info": (
        "a base and its adapters answer as one batch: sooner together, each slower than alone",
        "基座和它的适配器作为一批回答：总体更快，但各自的速度不是单独回答的速度",
    ),
    "token_view": ("Token by token", "逐词元查看"),
    "token_view_info": (
        "how likely each token of an answer was, and what else",
        "回答中每个词元的概率，以及其他可能的词元",
    ),
    "quality": ("Measure", "测量"),
    "quality_info": (
        "the speed in three runs, and how well each predicts a text; takes a while",
        "运行三次测速度，并测各自预测一段文本的好坏；需要一些时间",
    ),
    "compare_reference_info": ("what the others are compared with", "其他变体与它比较"),
    "distance": ("Acceptable quality loss", "可接受的质量损失"),
    "distance_info": (
        "percent above the reference, in perplexity or bits per byte",
        "困惑度或每字节比特数高出参照的百分比",
    ),
    "blind": ("Blind vote", "盲选"),
    "blind_info": ("no names and no figures until you have voted", "投票之前不显示名称和数据"),
    "json": ("Download JSON", "下载 JSON"),
    "page": ("Download as a page", "下载为网页"),
    "elsewhere": ("Use the best elsewhere", "在别处运行最佳变体"),
    "open_comparison": ("Open a comparison", "打开对比文件"),
    "votes": ("Your votes", "你的投票"),
    "votes_export": ("Download votes", "下载投票"),
    "votes_forget": ("Forget them", "清除投票"),
}
EN = {key: english for key, (english, _) in TEXTS.items()}
ZH = {key: chinese for key, (_, chinese) in TEXTS.items()}
I18N = gr.I18n(en=EN, zh=ZH, **{"zh-CN": ZH})

EXAMPLES = {
    "en": (
        "Explain what a tokenizer does in two sentences.",
        "Write a haiku about a slow computer.",
        "What is the difference between a base model and a chat model?",
    ),
    "zh": ("用两句话说明分词器的作用。", "写一首关于慢电脑的俳句。", "基础模型和对话模型有什么区别？"),
}


def both(key: str) -> str:
    """The text of a key as HTML in both languages, of which the style shows the page's: for what is drawn once."""
    return f'<span class="both"><span lang="en">{escape(EN[key])}</span><span lang="zh">{escape(ZH[key])}</span></span>'


def t(key: str) -> gr.I18n:
    """The translated text of a key that exists in every language."""
    assert key in EN, key
    return I18N(key)
