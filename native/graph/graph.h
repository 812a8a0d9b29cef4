// The graph of one micro-batch: layers forward, the head in chunks, and the hand-written backward pass. graph.cpp puts layers
// together; a layer's parts are in parts.h, the head in head.h, what is written into a graph before it runs in inputs.cpp.
// ggml's allocator plans its memory: an activation stays only while a later node reads it, so whether a layer keeps or
// recomputes its activations is only a question of which tensors its backward pass refers to.
#pragma once

#include "model/model.h"
#include "ops/ops.h"

namespace localft {

struct PassGraph {
    struct Chunk {
        ggml_tensor * targets;  // [n]
        ggml_tensor * loss;     // [n] nats
        int64_t       first, n; // of the supervised positions
    };

    std::unique_ptr<Ops> ops;
    ggml_tensor *        x0             = nullptr; // [n_tok, n_embd] embeddings
    ggml_tensor *        positions      = nullptr; // [n_tok]
    ggml_tensor *        positions_back = nullptr; // [n_tok] negated: rope by −θ is rope's adjoint
    ggml_tensor *        supervised     = nullptr; // [n_supervised] indices, where some positions are not
    ggml_tensor *        zeros          = nullptr; // [n_tok, n_embd], likewise
    ggml_tensor *        logits         = nullptr;
    std::vector<Chunk>   chunks;
};

enum class Pass { train, loss, logits };

struct GraphOptions {
    const kernels::Table * table; // null: plain ops
    bool                   int16; // products with the base's matrices in integers
    float                  lora_scale, dropout;
    uint64_t               dropout_seed;
    int64_t                n_recompute; // the first layers recompute their activations
};

PassGraph build(const Model::Impl & model, const Lora & lora, const GraphOptions & options, Pass pass, const std::vector<int32_t> & row_starts,
                int64_t n_supervised);

bool        is_view(const ggml_tensor * t);
std::string describe(const ggml_tensor * t); // "OP type(,type…) -> type"

// Write what an allocated graph reads of a micro-batch; `supervised`: the positions that are.
void fill_inputs(const PassGraph & graph, const Model::Impl & model, const Batch & batch, const std::vector<int32_t> & supervised);

} // namespace localft
