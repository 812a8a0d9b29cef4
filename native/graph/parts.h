// The parts of a layer as graphs. Each part's forward and backward pass stand side by side in one file (attention.cpp,
// feed_forward.cpp), and what the one leaves for the other is the part's own. Shapes are row-major, [n_tok, width].
#pragma once

#include "model/model.h"
#include "ops/ops.h"

#include <variant>

namespace localft {

// What all parts of a micro-batch's graph share.
struct GraphContext {
    Ops &           ops;
    Lora &          lora;
    const Hparams & hparams;
    ggml_tensor *   rope_freqs     = nullptr; // null where the model has none
    ggml_tensor *   positions      = nullptr; // [n_tok]
    ggml_tensor *   positions_back = nullptr; // [n_tok] negated: rope by −θ is rope's adjoint
};

// x + O · attention(rope(Q h), rope(K h), V h), h = norm(x)
class AttentionGraph {
public:
    // Places of the part where LoRA reads, each a stream of dropout of its own.
    enum Stream { IN_QKV, IN_O, N_STREAM };

    AttentionGraph(const Attention & weights, uint64_t first_stream) : w_(weights), first_stream_(first_stream) {}

    bool has_lora(Lora & lora) const;

    // Returns the stream after the part; where not `whole`, only what the backward pass reads is computed, and null is returned.
    // `keep`: this pass's activations are those that the backward pass will read.
    ggml_tensor * forward(const GraphContext & c, ggml_tensor * x, bool keep, bool whole);

    // Accumulates the part's LoRA gradients. `dy` is the gradient of what `forward` returned; returns that of x, or null unless
    // `need_dx`.
    ggml_tensor * backward(const GraphContext & c, ggml_tensor * dy, bool need_dx);

private:
    ggml_tensor * rope(const GraphContext & c, ggml_tensor * x, ggml_tensor * positions) const;
    bool          lora_on_qkv(Lora & lora) const;

    const Attention &          w_;
    uint64_t                   first_stream_;
    ggml_tensor *              x_ = nullptr, *o_ = nullptr; // [n_tok, n_embd]; what attention gave
    Ops::Qkv                   qkv_{};                      // q and k after RoPE
    std::vector<ggml_tensor *> low_qkv_, low_o_;            // as Ops::Input has them
};

// x + down · (silu(gate h) ∘ up h), h = norm(x)
class FeedForwardGraph {
public:
    enum Stream { IN_FFN, IN_DOWN, N_STREAM };

    FeedForwardGraph(const FeedForward & weights, uint64_t first_stream) : w_(weights), first_stream_(first_stream) {}

    bool          has_lora(Lora & lora) const;
    ggml_tensor * forward(const GraphContext & c, ggml_tensor * x, bool keep, bool whole);
    ggml_tensor * backward(const GraphContext & c, ggml_tensor * dy, bool need_dx);

private:
    const FeedForward &        w_;
    uint64_t                   first_stream_;
    ggml_tensor *              x_ = nullptr; // [n_tok, n_embd]
    Ops::GateUp                ffn_{};       // as Ops::kept leaves them
    std::vector<ggml_tensor *> low_;         // as Ops::Input has them
};

using PartGraph = std::variant<AttentionGraph, FeedForwardGraph>;

// The graph of a part whose streams are numbered from `first_stream`, which moves on behind them.
PartGraph part_graph(const Part & part, uint64_t & first_stream);

} // namespace localft
