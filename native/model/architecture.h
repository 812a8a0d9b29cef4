// What a layer is made of, by architecture: a description by tensor names, which the loader binds to tensors and the graph
// builder composes. A new architecture is a row of the table in architecture.cpp. A new kind of part is here a description, its
// weights and an alternative of both variants; its binding in architecture.cpp; and a class with its two passes in graph/parts.h.
#pragma once

#include "localft.h"

#include <functional>
#include <string>
#include <variant>
#include <vector>

namespace localft {

// A base matrix. `w` is ne [n_in, n_out]; `wt`, its transpose, exists only where the plain ops need it.
struct Matrix {
    ggml_tensor * w  = nullptr;
    ggml_tensor * wt = nullptr;
};

// Every part reads x through a norm of its own and is added to it: x + part(norm(x)). Tensors are named as in the GGUF, without
// "blk.N.".

struct AttentionSpec {
    const char *norm, *q, *k, *v, *o;
    int         rope_mode; // of ggml_rope_ext
};

struct AttentionShape {
    int64_t n_head, n_head_kv, n_embd_head;
    float   scale; // of the scores
};

struct Rope {
    int           n_rot, n_ctx_train;
    float         freq_base, freq_scale;
    ggml_tensor * freqs; // [n_rot / 2] factors, null where the model has none
    int           mode = 0;
};

struct AttentionWeights {
    ggml_tensor *  norm; // [n_embd]
    Matrix         q, k, v, o;
    AttentionShape shape;
    Rope           rope;
};

// silu(x gateᵀ) ∘ (x upᵀ), then downᵀ
struct FeedForwardSpec {
    const char *norm, *gate, *up, *down;
};

struct FeedForwardWeights {
    ggml_tensor * norm; // [n_embd]
    Matrix        gate, up, down;
};

using PartSpec = std::variant<AttentionSpec, FeedForwardSpec>;
using Part     = std::variant<AttentionWeights, FeedForwardWeights>;

struct Layer {
    std::vector<Part> parts;
};

struct Architecture {
    const char * name;                          // general.architecture
    std::vector<PartSpec> (*layer)(int64_t il); // the parts of layer il, one after the other
    const char * output_norm;
};

// The architecture called `name`; throws, naming those that there are, where it cannot be trained.
const Architecture & find_architecture(const std::string & name);

// The tensors of one layer. `require(name, ne)` finds a tensor of that shape, or throws; `rope`: but for its mode, which is the
// description's.
using Require = std::function<ggml_tensor *(const char * name, const std::vector<int64_t> & ne)>;
Layer bind_layer(const std::vector<PartSpec> & parts, const Hparams & hparams, const Rope & rope, const Require & require);

// The matrices of a layer that can carry LoRA, in the model's order.
std::vector<Matrix *> matrices(Layer & layer);

} // namespace localft
