// What a layer is made of, by architecture: a description by tensor names, which the loader binds to tensors and the graph
// builder composes. A new architecture is a row of the table in architecture.cpp; a new kind of part is a struct here, its
// binding there, and its two passes in graph/.
#pragma once

#include "localft.h"

#include <ggml.h>

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

// Every part reads the stream through a norm of its own and is added to it: x + part(norm(x)). Names are those of the GGUF
// without "blk.N." and ".weight".

struct AttentionNames {
    const char *norm, *q, *k, *v, *o;
    int         rope_mode; // of ggml_rope_ext
};

struct Attention {
    ggml_tensor * norm = nullptr; // [n_embd]
    Matrix        q, k, v, o;
    int           rope_mode = 0;
};

struct FeedForwardNames {
    const char *norm, *gate, *up, *down;
};

// silu(x gateᵀ) ∘ (x upᵀ), then downᵀ
struct FeedForward {
    ggml_tensor * norm = nullptr; // [n_embd]
    Matrix        gate, up, down;
};

using PartNames = std::variant<AttentionNames, FeedForwardNames>;
using Part      = std::variant<Attention, FeedForward>;

struct Architecture {
    const char *           name;  // general.architecture
    std::vector<PartNames> layer; // in the order of the stream
};

struct Layer {
    std::vector<Part> parts;
};

// The architecture called `name`; throws, naming those that there are, where it cannot be trained.
const Architecture & find_architecture(const std::string & name);

// Tensors of a layer, without "blk.N." and ".weight", in the model's order; with their norms or the matrices alone.
std::vector<const char *> norm_names(const Architecture & architecture);
std::vector<const char *> matrix_names(const Architecture & architecture);

// The tensors of one layer. `require(name, ne)` finds a tensor of that shape, or throws.
using Require = std::function<ggml_tensor *(const char * name, std::vector<int64_t> ne)>;
Layer bind_layer(const Architecture & architecture, const Hparams & hparams, const Require & require);

// Its matrices, in the order of `matrix_names`.
std::vector<Matrix *> matrices(Layer & layer);

} // namespace localft
