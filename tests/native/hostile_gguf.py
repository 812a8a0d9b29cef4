"""GGUF files that are wrong in one way each, and a child process that tries to train on them."""

from __future__ import annotations

import json
import os
import random
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from gguf_file import STRING, U64, File, Tensor, Value, f32, text, u32, u32_array
from golden import models


def poisoned(file: File, name: str, value: float) -> File:
    """One weight of `name` replaced."""
    values = np.frombuffer(file.tensors[name].data, np.float32).copy()
    values[values.size // 2] = value
    return file.change(name, data=values.tobytes())


def truncated(whole: bytes) -> dict[str, bytes]:
    """The file cut in the header and in the weights."""
    cut = {f"truncated to {n}": whole[:n] for n in (0, 3, 4, 7, 8, 16, 23, 24, 25, 40, 100, 400, 1000, 2000)}
    return {**cut, **{f"truncated to {i}/20": whole[: len(whole) * i // 20] for i in range(1, 20)}}


def wrong_headers(f: File) -> dict[str, File]:
    """Counts, versions and alignments that cannot be."""
    return {
        "wrong magic": replace(f, magic=b"GGML"),
        "other byte order": replace(f, magic=b"FUGG"),
        "version 0": replace(f, version=0),
        "version 1": replace(f, version=1),
        "version 99": replace(f, version=99),
        "version big-endian": replace(f, version=3 << 24),
        "more tensors than there are": replace(f, n_tensors=len(f.tensors) + 1),
        "2^63 tensors": replace(f, n_tensors=1 << 63),
        "2^60 tensors": replace(f, n_tensors=1 << 60),
        "no tensors": replace(f, tensors={}),
        "2^63 metadata": replace(f, n_metadata=1 << 63),
        "no metadata": replace(f, metadata={}),
        "alignment 8": replace(f.set(general__alignment=u32(8)), alignment=8),
        "alignment 0": f.set(general__alignment=u32(0)),
        "alignment 2^31": f.set(general__alignment=u32(1 << 31)),
        "alignment of u64": f.set(general__alignment=(U64, struct.pack("<Q", 32))),
    }


def wrong_metadata(f: File) -> dict[str, File]:
    """Keys missing, of another type, out of range, or of a model that is not trained yet."""
    files = {
        "architecture unknown": f.set(general__architecture=text("mamba")),
        "architecture no UTF-8": f.set(general__architecture=(STRING, struct.pack("<Q2s", 2, b"\xff\xfe"))),
        "architecture a number": f.set(general__architecture=u32(3)),
        "architecture missing": f.drop("general.architecture"),
        "experts": f.set(llama__expert_count=u32(8)),
        "head_count_kv an array": f.set(llama__attention__head_count_kv=u32_array(1, 1)),
        "head_count_kv no divisor": f.set(llama__attention__head_count_kv=u32(3)),
        "rope scaling unknown": f.set(llama__rope__scaling__type=text("yarn")),
        "rope scaling type a number": f.set(llama__rope__scaling__type=u32(1)),
        "rope base 0": f.set(llama__rope__freq_base=f32(0)),
        "rope base NaN": f.set(llama__rope__freq_base=f32(float("nan"))),
        "eps NaN": f.set(llama__attention__layer_norm_rms_epsilon=f32(float("nan"))),
        "eps negative": f.set(llama__attention__layer_norm_rms_epsilon=f32(-1e-5)),
        "eps a string": f.set(llama__attention__layer_norm_rms_epsilon=text("1e-5")),
        "rotary dimensions odd": f.set(llama__rope__dimension_count=u32(7)),
        "rotary dimensions of half a head": f.set(llama__rope__dimension_count=u32(8)),
        "key length": f.set(llama__attention__key_length=u32(24)),
    }
    for key in ("embedding_length", "block_count", "attention.head_count"):
        name = f"llama__{key.replace('.', '__')}"
        files[f"{key} missing"] = f.drop(f"llama.{key}")
        files |= {f"{key} = {n}": f.set(**{name: u32(n)}) for n in (0, 1 << 31, (1 << 32) - 1)}
        files[f"{key} of 2^64 - 1"] = f.set(**{name: (U64, b"\xff" * 8)})
        files[f"{key} a string"] = f.set(**{name: text("2")})
    return files


def wrong_tensors(f: File) -> dict[str, File]:
    """Tensors missing, too many, of other shapes and types, in impossible places, or not finite."""
    q, norm, embedding = "blk.0.attn_q.weight", "blk.1.ffn_norm.weight", "token_embd.weight"
    extra = f.tensors["blk.0.attn_norm.weight"]
    return {
        "tensor's name no UTF-8": f.drop(q).tensor("blk.0.\udcff\udcfe", f.tensors[q]),
        "tensor missing": f.drop(q),
        "norm missing": f.drop(norm),
        "output norm missing": f.drop("output_norm.weight"),
        "embedding missing": f.drop(embedding),
        "bias": f.tensor("blk.0.attn_q.bias", extra),
        "one layer more than declared": f.set(llama__block_count=u32(1)),
        "one layer less than declared": f.set(llama__block_count=u32(3)),
        "matrix turned": f.change("blk.0.ffn_up.weight", ne=(48, 32)),
        "matrix in three dimensions": f.change(q, ne=(32, 16, 2)),
        "matrix in five dimensions": f.change(q, ne=(32, 32, 1, 1, 1)),
        "matrix of nothing": f.change(q, ne=(32, 0), data=b""),
        "vocabulary of nothing": f.change(embedding, ne=(32, 0), data=b""),
        "dimension negative": f.change(q, ne=(32, 1 << 63)),
        "dimension 2^62": f.change(q, ne=(1 << 62, 32)),
        "dimensions overflow": f.change(q, ne=(1 << 33, 1 << 33)),
        "width 33": f.change(embedding, ne=(33, 40)),
        "type unknown": f.change(q, type=999),
        "type removed": f.change(q, type=4),
        "type of integers": f.change(q, type=26),
        "type f64": f.change(q, type=28, data=bytes(2 * len(f.tensors[q].data))),
        "norm of f16": f.change(norm, type=1, data=f.tensors[norm].data[: len(f.tensors[norm].data) // 2]),
        "type whose block does not fit": f.change("blk.0.ffn_down.weight", type=12),
        "offset beyond the end": f.change(norm, offset=1 << 40),
        "offset 2^63": f.change(norm, offset=1 << 63),
        "offset unaligned": f.change(norm, offset=3),
        "offsets overlap": f.change(norm, offset=0),
        "name too long": f.tensor("x" * 200, extra),
        "NaN in a matrix": poisoned(f, "blk.1.ffn_down.weight", float("nan")),
        "NaN in a norm": poisoned(f, norm, float("nan")),
        "infinity in a matrix": poisoned(f, q, float("inf")),
        "NaN in every embedding": f.change(embedding, data=b"\xff" * len(f.tensors[embedding].data)),
    }


def named_files(f: File) -> dict[str, bytes]:
    """Files that must be refused, at the latest by the first micro-batch."""
    files = {**wrong_headers(f), **wrong_metadata(f), **wrong_tensors(f)}
    made = {name: file.write() for name, file in files.items()}
    return {**truncated(f.write()), **made, "no GGUF at all": bytes(4096), "text": b"Once upon a time\n" * 100}


def mutate(whole: bytes, header: int, rng: random.Random) -> bytes:
    """One to four seeded changes, most of them in the header."""
    raw = bytearray(whole)
    for _ in range(rng.randint(1, 4)):
        end = header if rng.random() < 0.85 else len(raw)
        at = rng.randrange(max(1, min(end, len(raw))))
        kind = rng.randrange(6)
        if kind == 0:
            raw[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            raw[at] = rng.randrange(256)
        elif kind == 2:
            extreme = rng.choice([0, 1, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
            raw[at : at + 8] = struct.pack("<Q", extreme)
        elif kind == 3:
            del raw[at : at + rng.randint(1, 16)]
        elif kind == 4:
            raw[at:at] = rng.randbytes(rng.randint(1, 16))
        else:
            raw[at : at + 4] = struct.pack("<I", rng.randrange(1 << 32))
    return bytes(raw)


def distort(f: File, rng: random.Random) -> bytes:
    """A well-formed file with one to three values that make no sense."""
    for _ in range(rng.randint(1, 3)):
        if rng.random() < 0.5:
            key = rng.choice(list(f.metadata))
            f = replace(f, metadata={**f.metadata, key: odd_value(f.metadata[key], rng)})
        else:
            name = rng.choice(list(f.tensors))
            f = f.tensor(name, odd_tensor(f.tensors[name], rng))
    return f.write()


def odd_value(value: Value, rng: random.Random) -> Value:
    number = rng.choice([0, 1, 2, 3, 7, 16, 33, 4096, 1 << 16, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 1])
    odd = rng.choice([0.0, -0.0, -1.0, 1e-45, 1e38, float("inf"), float("-inf"), float("nan"), 0.5])
    choices = [u32(number), f32(odd), text("llama"), text(""), u32_array(), u32_array(1, number), (7, b"\x02")]
    return rng.choice([*choices, (U64, struct.pack("<Q", number << 32)), (STRING, struct.pack("<Q2s", 2, b"\xff\xfe"))])


def odd_tensor(t: Tensor, rng: random.Random) -> Tensor:
    kind = rng.randrange(4)
    if kind == 0:
        ne = list(t.ne)
        ne[rng.randrange(len(ne))] = rng.choice([0, 1, 2, 16, 31, 33, 64, 1 << 20, 1 << 31, 1 << 62, (1 << 64) - 1])
        return replace(t, ne=tuple(ne))
    if kind == 1:
        return replace(t, ne=rng.choice([(), t.ne[::-1], (*t.ne, 1), (1, *t.ne), t.ne[:1]]))
    if kind == 2:
        return replace(t, type=rng.randrange(45))
    return replace(t, data=rng.randbytes(len(t.data)))


def mutations(f: File, n: int, seed: int) -> dict[str, bytes]:
    """`n` files, each a mutation of `f`: every other one of its bytes, the others of its values."""
    whole, files = f.write(), {}
    header = len(whole) - sum(len(t.data) + -len(t.data) % f.alignment for t in f.tensors.values())
    for i in range(n):
        rng = random.Random(f"{seed}.{i}")
        files[f"mutation {seed}.{i}"] = mutate(whole, header, rng) if i % 2 else distort(f, rng)
    return files


def attempt(path: Path) -> str:
    """Load, accumulate, evaluate, update. Returns "trained", or the error that a user would see."""
    from localft.engine import AdamSpec, LoraSpec
    from localft.engine.native import NativeEngine, lora_targets
    from localft.errors import LocalftError

    try:
        targets = lora_targets(path)
        lora = LoraSpec(tuple(targets), rank=1)
        engine = NativeEngine(path, lora, AdamSpec(), n_threads=1, max_tokens=8)
        batch = models.batch(models.Shape("any", 1, 1, 1, 1, 1, 4, True), (3, 5))
        engine.accumulate(batch)
        engine.apply(1e-3)
        engine.evaluate(batch)
        return "trained"
    except LocalftError as error:
        return f"refused: {error.message}"


def child(folder: Path) -> None:
    """Try every file in `folder` that has no result yet; one line of JSON each, flushed."""
    limit_memory()
    for path in sorted(folder.glob("*.gguf"), key=lambda p: int(p.stem)):
        print(json.dumps([path.stem, "crashed"]), flush=True)
        print(json.dumps([path.stem, attempt(path)]), flush=True)
        path.unlink()


def limit_memory() -> None:
    """Fail an allocation of tens of gigabytes at once, wherever this runs. The sanitizers reserve terabytes."""
    if "LOCALFT_SANITIZED" not in os.environ and sys.platform.startswith("linux"):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))


def outcomes(files: dict[str, bytes], folder: Path) -> dict[str, str]:
    """What came of each file: "trained", "refused: ..." or "crashed: ..."."""
    folder.mkdir(parents=True)
    for i, data in enumerate(files.values()):
        (folder / f"{i}.gguf").write_bytes(data)
    names, found = list(files), {}
    while remaining := sorted(folder.glob("*.gguf"), key=lambda p: int(p.stem)):
        run = [sys.executable, __file__, str(folder)]
        env = {**os.environ, "GGML_NO_BACKTRACE": "1", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        done = subprocess.run(run, capture_output=True, text=True, errors="replace", env=env, timeout=600)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
        found |= {names[int(stem)]: outcome for stem, outcome in lines}
        left = sorted(folder.glob("*.gguf"), key=lambda p: int(p.stem))
        if not left:
            break
        if left == remaining and not lines:
            raise RuntimeError(done.stderr)
        found[names[int(left[0].stem)]] = f"crashed: {done.stderr.strip()[-2000:]}"
        left[0].unlink()
    return found


if __name__ == "__main__":
    child(Path(sys.argv[1]))
