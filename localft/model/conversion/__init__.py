"""The parts of a Hugging Face checkpoint → those of a GGUF: sizes, vocabulary and chat template, weights.

`localft/model/convert.py` puts them together; open it first. Here, in the order of the work: `hparams.py`
(config.json → `Hparams`, and the table of architectures), `vocabulary.py` (tokenizer files → the GGUF's vocabulary),
`hf_checkpoint.py` and `weights.py` (which tensor becomes which, and how), `gguf_writer.py`, and `quantize.py` (the
types that llama.cpp's own quantizer writes). `stand_in.py` makes a model of a shape with random weights, to measure
with.
"""
