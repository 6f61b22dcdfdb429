"""The libraries by themselves, without Paddock: python bare.py gguf|transformers|server PATH THREADS BATCH CONTEXT.

Loads once, then answers one JSON line {"prompt", "new_tokens"} with another, computing on the main thread. `server` is
llama.cpp's own HTTP server: it prints its address, and lives until its standard input ends.
"""

import json
import sys
import time


def llama_server(path, threads, batch, context):
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = path
    params.n_ctx, params.n_parallel = context, 1
    params.n_batch = params.n_ubatch = batch
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.verbosity = -1
    return xllamacpp.Server(params)


def llama_cpp(*given):
    server = llama_server(*given)

    def answer(prompt, new_tokens):
        chunks, times = [], []

        def on_chunk(chunk):
            chunks.append(chunk)
            times.append(time.perf_counter())
            return False

        request = {"prompt": prompt, "n_predict": new_tokens, "stream": True, "temperature": 0}
        server.handle_completions(request, on_chunk)
        return times, chunks[-1]["timings"]["predicted_n"], "".join(chunk["choices"][0]["text"] for chunk in chunks)

    return answer


def transformers(path, threads, batch, context):
    import torch
    from clock import Clock  # beside this script, which knows nothing of Paddock
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(threads)
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)

    def answer(prompt, new_tokens):
        clock = Clock()
        inputs = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
        ids = model.generate(**inputs, max_new_tokens=new_tokens, do_sample=False, streamer=clock)
        new = ids[0, inputs["input_ids"].shape[1] :]
        return clock.times[1:], len(new), tokenizer.decode(new, skip_special_tokens=True)

    return answer


def main():
    kind, path, *numbers = sys.argv[1:]
    if kind == "server":
        server = llama_server(path, *map(int, numbers))
        print(json.dumps({"url": server.listening_address}), flush=True)
        sys.stdin.read()
        return
    answer = {"gguf": llama_cpp, "transformers": transformers}[kind](path, *map(int, numbers))
    for line in sys.stdin:
        started = time.perf_counter()
        times, tokens, text = answer(**json.loads(line))
        figures = {"ttft_s": times[0] - started, "stream_s": times[-1] - times[0], "tokens": tokens, "text": text}
        print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
