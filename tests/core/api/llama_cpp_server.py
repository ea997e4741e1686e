"""llama.cpp's own server with a generated language model of a few hundred kilobytes.

`python -m tests.core.api.llama_cpp_server FOLDER CONTEXT_TOKENS MODE` prints its address as the first
line and serves until its standard input closes, so that it does not outlive the test that started it.
The weights are random (seeded) and the vocabulary has a few words. In the mode "random" the answer is
whatever the model produces; in the other modes a grammar that restricts the sampling forces it.
"""

import sys
from pathlib import Path

import numpy as np

API_KEY = "key-of-the-test-server"
MODEL_NAME = "tiny/random-llama"
MAX_ANSWER_TOKENS = 80
REASONING = "the old river runs to the sea"
ANSWER = "bread and salt"
WORDS = "the a old river runs to sea bread and salt why who is said he she it in of stone bird"
LAYERS, EMBEDDING_SIZE, HEADS, FEED_FORWARD_SIZE = 2, 32, 2, 64
TRAINED_CONTEXT_TOKENS = 4096
"""The context window the model claims to support; the server runs with a smaller one."""
GRAMMARS = {
    "random": "",
    "reasoning": f'root ::= "{REASONING}" "\\n</think>\\n\\n{ANSWER}"',
    "think tags": f'root ::= "<think>\\n{REASONING}\\n</think>\\n\\n{ANSWER}"',
    "endless reasoning": f'root ::= "{REASONING}" ([a-z ])*',
}
"""The answer in each mode, as a grammar. With "reasoning", the chat template contains the opening tag and
the server separates the reasoning; with "think tags", the tags arrive as text."""
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
"""Token types of the GGUF format."""

TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
REASONING_TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>\n{% if m.reasoning_content %}<think>\n"
    "{{ m.reasoning_content }}\n</think>\n\n{% endif %}{{ m.content }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n<think>\n"
    "{% if enable_thinking is defined and not enable_thinking %}\n</think>\n\n{% endif %}"
    "{% endif %}"
)
"""Follows the templates of reasoning models: the server derives the format of the reasoning from it."""


def vocabulary() -> list[tuple[str, float, int]]:
    """(token, score, type) of tokens that cover any text: words, letters and bytes."""
    specials = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)]
    octets = [(f"<0x{value:02X}>", -1000.0, BYTE) for value in range(256)]
    letters = [(chr(code), -500.0, NORMAL) for code in range(0x21, 0x7F)]
    words = [(f"▁{word}", -float(index), NORMAL) for index, word in enumerate(WORDS.split())]
    return [*specials, *octets, *letters, ("▁", -400.0, NORMAL), *words]


def write_model(path: Path, *, has_reasoning: bool) -> None:
    """Write a Llama model with random weights. With `has_reasoning` its template opens the reasoning."""
    from gguf import GGUFWriter

    tokens = vocabulary()
    random = np.random.default_rng(7)

    def weights(*shape: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
        return (random.standard_normal(shape) * 0.2).astype(np.float32)

    file = GGUFWriter(path, "llama")
    file.add_context_length(TRAINED_CONTEXT_TOKENS)
    file.add_embedding_length(EMBEDDING_SIZE)
    file.add_block_count(LAYERS)
    file.add_feed_forward_length(FEED_FORWARD_SIZE)
    file.add_head_count(HEADS)
    file.add_head_count_kv(HEADS)
    file.add_rope_dimension_count(EMBEDDING_SIZE // HEADS)
    file.add_layer_norm_rms_eps(1e-5)
    file.add_vocab_size(len(tokens))
    file.add_tokenizer_model("llama")
    file.add_token_list([token for token, _, _ in tokens])
    file.add_token_scores([score for _, score, _ in tokens])
    file.add_token_types([token_type for _, _, token_type in tokens])
    file.add_bos_token_id(1)
    file.add_eos_token_id(2)
    file.add_unk_token_id(0)
    file.add_chat_template(REASONING_TEMPLATE if has_reasoning else TEMPLATE)
    file.add_tensor("token_embd.weight", weights(len(tokens), EMBEDDING_SIZE))
    output = weights(len(tokens), EMBEDDING_SIZE)
    output[: 3 + 256] = 0  # only words and letters, no bytes or end of the answer
    file.add_tensor("output.weight", output)
    file.add_tensor("output_norm.weight", np.ones(EMBEDDING_SIZE, np.float32))
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            file.add_tensor(f"blk.{layer}.{name}.weight", weights(EMBEDDING_SIZE, EMBEDDING_SIZE))
        for name in ("ffn_gate", "ffn_up"):
            file.add_tensor(f"blk.{layer}.{name}.weight", weights(FEED_FORWARD_SIZE, EMBEDDING_SIZE))
        file.add_tensor(f"blk.{layer}.ffn_down.weight", weights(EMBEDDING_SIZE, FEED_FORWARD_SIZE))
        for name in ("attn_norm", "ffn_norm"):
            file.add_tensor(f"blk.{layer}.{name}.weight", np.ones(EMBEDDING_SIZE, np.float32))
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()


def serve(folder: Path, context_tokens: int, mode: str) -> None:
    import xllamacpp

    path = folder / "tiny.gguf"
    write_model(path, has_reasoning=mode in ("reasoning", "endless reasoning"))
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.model_alias = {MODEL_NAME}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [API_KEY]
    params.n_ctx = context_tokens
    params.n_parallel = 1
    params.n_predict = MAX_ANSWER_TOKENS
    params.sampling.seed = 7
    params.warmup = False
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.use_jinja = True
    formats = xllamacpp.common_reasoning_format
    if mode == "think tags":
        params.reasoning_format = formats.COMMON_REASONING_FORMAT_NONE
    if GRAMMARS[mode]:
        grammar_type = xllamacpp.common_grammar_type.COMMON_GRAMMAR_TYPE_USER
        params.sampling.grammar = xllamacpp.CommonGrammar(grammar_type, GRAMMARS[mode])
    server = xllamacpp.Server(params)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
