// The parts of a layer as graphs. Each part's forward and backward pass stand side by side in one file (attention.cpp,
// feed_forward.cpp), and what the one leaves for the other is the part's own. Shapes are row-major, [n_tok, width].
#pragma once

#include "adapter/lora.h"
#include "model/architecture.h"
#include "ops/ops.h"

#include <variant>

namespace localft {

// What all parts of a micro-batch's graph share.
struct GraphContext {
    Ops &           ops;
    const Lora &    lora;
    const Hparams & hparams;
    ggml_tensor *   positions      = nullptr; // [n_tok]
    ggml_tensor *   positions_back = nullptr; // [n_tok] negated: rope by −θ is rope's adjoint
};

// x + O · attention(rope(Q h), rope(K h), V h), h = norm(x)
class AttentionGraph {
public:
    // Places of the part where LoRA reads, each with a stream of random numbers for dropout. A value that is put in between
    // numbers the later ones anew, and so changes the numbers of every run with dropout.
    enum Stream { IN_QKV, IN_O, N_STREAM };

    AttentionGraph(const AttentionWeights & weights, uint64_t first_stream) : w_(weights), first_stream_(first_stream) {}

    // Nodes of both passes at most, recomputation, LoRA and dropout on every matrix included; a test runs that.
    static size_t max_nodes(const Hparams & h, bool plain, size_t n_row) {
        return 144 + (plain ? 192 + (96 + 8 * (size_t) (h.n_head / h.n_head_kv)) * n_row : 0);
    }

    bool has_lora(const Lora & lora) const;

    // Returns x and what the part adds to it; where not `whole`, only what the backward pass reads is computed, and null is
    // returned. `keep`: this pass's activations are those that the backward pass will read.
    ggml_tensor * forward(const GraphContext & c, ggml_tensor * x, bool keep, bool whole);

    // Accumulates the part's LoRA gradients. `dy` is the gradient of what `forward` returned; returns that of x, or null unless
    // `need_dx`.
    ggml_tensor * backward(const GraphContext & c, ggml_tensor * dy, bool need_dx);

private:
    ggml_tensor * rope(const GraphContext & c, ggml_tensor * x, ggml_tensor * positions) const;
    bool          lora_on_qkv(const Lora & lora) const;

    AttentionWeights           w_;
    uint64_t                   first_stream_;
    ggml_tensor *              x_ = nullptr;     // [n_tok, n_embd]
    Ops::Qkv                   qkv_{};           // q and k after RoPE
    Ops::Attended              made_{};          // of them
    std::vector<ggml_tensor *> low_qkv_, low_o_; // as Ops::Input has them
};

// x + down · (silu(gate h) ∘ up h), h = norm(x)
class FeedForwardGraph {
public:
    enum Stream { IN_FFN, IN_DOWN, N_STREAM };

    FeedForwardGraph(const FeedForwardWeights & weights, uint64_t first_stream) : w_(weights), first_stream_(first_stream) {}

    static size_t max_nodes(const Hparams &, bool plain, size_t) { return 112 + (plain ? 128 : 0); }
    bool          has_lora(const Lora & lora) const;
    ggml_tensor * forward(const GraphContext & c, ggml_tensor * x, bool keep, bool whole);
    ggml_tensor * backward(const GraphContext & c, ggml_tensor * dy, bool need_dx);

private:
    FeedForwardWeights         w_;
    uint64_t                   first_stream_;
    ggml_tensor *              x_ = nullptr; // [n_tok, n_embd]
    Ops::GateUp                ffn_{};       // as Ops::kept leaves them
    std::vector<ggml_tensor *> low_;         // as Ops::Input has them
};

// Which graph each kind of part has.
template <typename Weights>
struct GraphOf;
template <>
struct GraphOf<AttentionWeights> {
    using type = AttentionGraph;
};
template <>
struct GraphOf<FeedForwardWeights> {
    using type = FeedForwardGraph;
};

using PartGraph = std::variant<AttentionGraph, FeedForwardGraph>;

} // namespace localft
