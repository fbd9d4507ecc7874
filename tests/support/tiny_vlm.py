"""A real llama.cpp server with a vision-language model of random weights, half a megabyte, in a process of its own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

WIDTH, HIDDEN, HEADS, CONTEXT = 64, 128, 4, 4096  # of the language model, which has one block
VIEW, PATCH, VIEW_WIDTH, VIEW_HIDDEN, VIEW_BLOCKS, VIEW_HEADS = 56, 14, 32, 64, 3, 2
TEMPLATE = "{% for one in messages %}{{ one['role'] }}> {{ one['content'] }}\n{% endfor %}assistant> "
MARKER = "listening at "

SERVE = f"""
import sys, xllamacpp
parameters = xllamacpp.CommonParams()
parameters.model.path, parameters.mmproj.path = sys.argv[1:]
parameters.n_ctx, parameters.warmup, parameters.n_parallel = {CONTEXT}, False, 1
parameters.cpuparams.n_threads = 1
server = xllamacpp.Server(parameters)
print("{MARKER}" + server.listening_address, flush=True)
sys.stdin.read()
"""


class Weights:
    """Random tensors under the names that llama.cpp knows, written into one file."""

    def __init__(self, path: Path, architecture: str) -> None:
        import gguf

        self.file = gguf.GGUFWriter(str(path), architecture)
        self._rng = np.random.default_rng(11)

    def matrix(self, name: str, *shape: int, size: float = 0.2) -> None:
        self.file.add_tensor(name, (self._rng.standard_normal(shape) * size).astype(np.float32))

    def ones(self, name: str, width: int) -> None:
        self.file.add_tensor(name, np.ones(width, np.float32))

    def linear(self, name: str, out: int, into: int) -> None:
        self.matrix(f"{name}.weight", out, into)
        self.matrix(f"{name}.bias", out, size=0.02)

    def norm(self, name: str, width: int) -> None:
        self.ones(f"{name}.weight", width)
        self.matrix(f"{name}.bias", width, size=0.02)

    def close(self) -> None:
        self.file.write_header_to_file()
        self.file.write_kv_data_to_file()
        self.file.write_tensors_to_file()
        self.file.close()


def write_language_model(path: Path) -> Path:
    """A llama of one block whose tokens are single characters, with all bytes to fall back on."""
    from gguf import LlamaFileType, TokenType

    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *map(chr, range(33, 127))]
    kinds = [TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL, *[TokenType.BYTE] * 256]
    kinds += [TokenType.NORMAL] * (len(tokens) - len(kinds))
    made = Weights(path, "llama")
    file = made.file
    file.add_name("tiny")
    file.add_file_type(LlamaFileType.ALL_F32)
    file.add_vocab_size(len(tokens))
    file.add_context_length(CONTEXT)
    file.add_embedding_length(WIDTH)
    file.add_feed_forward_length(HIDDEN)
    file.add_block_count(1)
    file.add_head_count(HEADS)
    file.add_head_count_kv(HEADS)
    file.add_rope_dimension_count(WIDTH // HEADS)
    file.add_layer_norm_rms_eps(1e-5)
    file.add_tokenizer_model("llama")
    file.add_token_list(tokens)
    file.add_token_scores([0.0 if kind != TokenType.NORMAL else -1.0 - at for at, kind in enumerate(kinds)])
    file.add_token_types(kinds)
    file.add_unk_token_id(0)
    file.add_bos_token_id(1)
    file.add_eos_token_id(2)
    file.add_add_bos_token(True)
    file.add_chat_template(TEMPLATE)
    made.matrix("token_embd.weight", len(tokens), WIDTH, size=1.0)
    output = np.random.default_rng(5).standard_normal((len(tokens), WIDTH)).astype(np.float32) * np.float32(0.3)
    yes, no = tokens.index("1"), tokens.index("0")
    output[yes] *= 8
    output[no] = -output[yes]  # so one of both is always among the likeliest tokens
    file.add_tensor("output.weight", output)
    made.ones("output_norm.weight", WIDTH)
    made.ones("blk.0.attn_norm.weight", WIDTH)
    made.ones("blk.0.ffn_norm.weight", WIDTH)
    for part in ("q", "k", "v", "output"):
        made.matrix(f"blk.0.attn_{part}.weight", WIDTH, WIDTH)
    for part in ("gate", "up"):
        made.matrix(f"blk.0.ffn_{part}.weight", HIDDEN, WIDTH)
    made.matrix("blk.0.ffn_down.weight", WIDTH, HIDDEN)
    made.close()
    return path


def write_eye(path: Path) -> Path:
    """A vision transformer of three blocks, and two layers from it to the language model."""
    made = Weights(path, "clip")
    file = made.file
    file.add_bool("clip.has_vision_encoder", True)
    file.add_string("clip.projector_type", "mlp")
    file.add_bool("clip.use_gelu", True)
    file.add_uint32("general.file_type", 0)
    numbers = {
        "image_size": VIEW, "patch_size": PATCH, "embedding_length": VIEW_WIDTH, "feed_forward_length": VIEW_HIDDEN,
        "projection_dim": WIDTH, "block_count": VIEW_BLOCKS, "attention.head_count": VIEW_HEADS,
    }  # fmt: skip
    for name, number in numbers.items():
        file.add_uint32(f"clip.vision.{name}", number)
    file.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    for name in ("image_mean", "image_std"):
        file.add_array(f"clip.vision.{name}", [0.5] * 3)
    made.matrix("v.class_embd", VIEW_WIDTH)
    made.matrix("v.patch_embd.weight", VIEW_WIDTH, 3, PATCH, PATCH)
    made.matrix("v.position_embd.weight", (VIEW // PATCH) ** 2 + 1, VIEW_WIDTH)
    for name in ("v.pre_ln", "v.post_ln"):
        made.norm(name, VIEW_WIDTH)
    for block in range(VIEW_BLOCKS):
        for name in ("ln1", "ln2"):
            made.norm(f"v.blk.{block}.{name}", VIEW_WIDTH)
        for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
            made.linear(f"v.blk.{block}.{name}", VIEW_WIDTH, VIEW_WIDTH)
        made.linear(f"v.blk.{block}.ffn_up", VIEW_HIDDEN, VIEW_WIDTH)
        made.linear(f"v.blk.{block}.ffn_down", VIEW_WIDTH, VIEW_HIDDEN)
    made.linear("mm.0", WIDTH, VIEW_WIDTH)
    made.linear("mm.2", WIDTH, WIDTH)
    made.close()
    return path


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Start the server, and yield its base address; it ends with its standard input."""
    files = write_language_model(folder / "tiny.gguf"), write_eye(folder / "tiny-eye.gguf")
    with (folder / "log.txt").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-c", SERVE, *map(str, files)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
        )  # fmt: skip
        try:
            address = next((text for line in child.stdout if MARKER in (text := line.decode())), "")
            assert address, (folder / "log.txt").read_text(errors="replace")[-2000:]
            yield address.partition(MARKER)[2].strip() + "/v1"
        finally:
            child.stdin.close()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            child.stdout.close()
