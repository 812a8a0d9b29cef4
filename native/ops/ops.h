// What the nodes of a graph are made with. rows.cpp makes the rows that enter products (norm, activation function, rounding, LoRA's
// A); linear.cpp, attention.cpp, norm.cpp and cross_entropy.cpp hold the other operations with their gradients, dropout.cpp what
// LoRA reads in training. On the CPU they run kernels of ours, elsewhere ggml's own ops ("plain").
#pragma once

#include "adapter/lora.h"
#include "ops/custom.h"

#include <deque>
#include <utility>

namespace localft {

// What a node's time is counted under; `head` is all of the output's work, its products included, and
// `elementwise` has the thin products of rows that are made in the same visit.
enum class Kind { product, attention, elementwise, low_rank, head };

// What the nodes of a graph are made with. Shapes in comments are row-major, [n_tok, width], as NumPy would show them.
class Ops {
public:
    Ops(const Lora & lora, const kernels::Table * table, bool int16, size_t max_nodes);
    Ops(const Ops &)             = delete; // custom ops refer to it
    Ops & operator=(const Ops &) = delete;

    ggml_context * ctx() const { return ctx_.get(); }
    ggml_cgraph *  graph() const { return graph_; }
    ggml_tensor *  expand(ggml_tensor * t, Kind kind); // append t, and all it needs, to the graph

    std::vector<Kind> kinds;           // of the graph's nodes
    bool              in_head = false; // what is appended is `head`, whatever it is

    // Where a micro-batch's rows lie, and the seed of its dropout; set before anything is built.
    std::vector<int32_t> row_starts;
    float                dropout = 0, lora_scale = 0;
    uint64_t             dropout_seed = 0;

    // A tensor that keeps its memory to the end: the caller fills it after allocation, or reads it after the pass.
    ggml_tensor * input(ggml_type type, int64_t ne0, int64_t ne1 = 1);
    struct Mask {
        ggml_tensor * tensor; // causal, [n, n]
        int64_t       n;
    };
    struct DropoutMask {
        ggml_tensor * tensor; // 0 or 1/(1−p)
        uint64_t      stream;
    };
    std::vector<Mask>        masks;         // that plain ops asked for; the caller fills them
    std::vector<DropoutMask> dropout_masks; // likewise

    // Rows [n_tok, width] as products read them: f32, or in 16 bits.
    struct Rows {
        ggml_tensor * data  = nullptr;
        int64_t       width = 0;
        bool          int16 = false;
    };
    struct GateUp {
        Rows gate, up;
    };
    // What enters one or several matrices, and s · x̃ Aᵀ of each, [n_tok, rank], null where it carries no LoRA. On the way
    // back: dy, and s · dy B; dropout is none of its business.
    struct Input {
        Rows                       x, after_dropout; // after_dropout: x̃
        std::vector<ggml_tensor *> low;
    };
    using Matrices = std::vector<const Matrix *>;

    Input                   enter(ggml_tensor * x, const Matrices & matrices, uint64_t stream);
    Input                   enter_norm(ggml_tensor * x, ggml_tensor * g, float eps, const Matrices & matrices, uint64_t stream);
    Input                   enter_swiglu(const GateUp & x, const Matrices & matrices, uint64_t stream); // silu(gate) ∘ up
    Input                   enter_back(ggml_tensor * dy, const Matrix & w);
    std::pair<Input, Input> enter_swiglu_back(ggml_tensor * da, const GateUp & x, const Matrix & gate, const Matrix & up);
    GateUp                  kept(const GateUp & x); // for the backward pass; in 16 bits where products are

    static Rows as_f32(ggml_tensor * x) { return { x, x->ne[0], false }; }

    // y = x Wᵀ + low Bᵀ + init, [n_tok, n_out], of the i-th matrix that x was made for; `init` may be null.
    ggml_tensor * linear(const Matrix & w, const Input & x, size_t i, ggml_tensor * init);
    // linear backwards: accumulates the gradients of A and B and returns dx [n_tok, n_in] + init, or null unless `need_dx`.
    // x̃ and `low` as they were on the way there.
    ggml_tensor * linear_back(const Matrix & w, const Input & dy, const Rows & after_dropout, ggml_tensor * low, ggml_tensor * init, uint64_t stream,
                              bool need_dx);
    // The same of a dy that nothing else reads; without LoRA on w, and unless `need_dx`, nothing is computed and `init` returned.
    ggml_tensor * linear_back(const Matrix & w, ggml_tensor * dy, const Rows & after_dropout, ggml_tensor * low, ggml_tensor * init, uint64_t stream,
                              bool need_dx);

    ggml_tensor * norm_back(ggml_tensor * dh, ggml_tensor * x, ggml_tensor * g, ggml_tensor * add, float eps);
    struct Qkv {
        ggml_tensor *q, *k, *v;
    };
    // softmax(scale · Q Kᵀ + causal mask) V by head, o [n_tok, n_head · n_embd_head], and what its gradient needs of it.
    struct Attended {
        ggml_tensor *o = nullptr, *lse = nullptr; // lse: logsumexp of the scores, of the kernel only
    };
    Attended attention(const Qkv & x, const AttentionShape & shape);
    Qkv      attention_back(ggml_tensor * d_o, const Attended & made, const Qkv & x, const AttentionShape & shape);
    // The loss of each row of `logits`, and its gradient softmax − onehot, which may take the logits' place.
    struct Head {
        ggml_tensor * loss;     // [n] nats
        ggml_tensor * d_logits; // [n, n_vocab]
    };
    Head cross_entropy(ggml_tensor * logits, ggml_tensor * targets);

    ggml_tensor * join(std::vector<ggml_tensor *> pieces); // concatenate along tokens

    bool plain() const { return !table_; }

private:
    ggml_tensor * custom(int64_t ne0, int64_t ne1, std::vector<ggml_tensor *> sources, ggml_custom_op_t f, Args args);
    ggml_tensor * custom_inplace(ggml_tensor * t, std::vector<ggml_tensor *> sources, ggml_custom_op_t f, Args args);
    struct Source { // of rows, as kernels::Rows has it
        kernels::Rows::From        from;
        std::vector<ggml_tensor *> tensors;
        int64_t                    width;
        bool                       int16 = false;
        float                      eps   = 0;
    };
    using LoraRows = std::vector<ggml_tensor *>; // LoRA's, of one matrix each; null where it carries none
    ggml_tensor *              make_rows(const Source & source, kernels::Rows::As as, const LoraRows & factors);
    ggml_tensor *              columns(ggml_tensor * rows, int64_t first, int64_t n);
    std::vector<ggml_tensor *> make_f32(const Source & source);
    std::vector<ggml_tensor *> make_plain(const Source & source);
    ggml_tensor *              in_16_bits(ggml_tensor * x);
    Input                      enter(const Source & source, const Matrices & matrices, uint64_t stream);
    std::vector<Input>         feed(const Source & source, const LoraRows & factors);
    Input                      feed_apart(ggml_tensor * x, ggml_tensor * after_dropout, const LoraRows & factors);
    bool                       together(const LoraRows & factors) const;
    ggml_tensor *              product(const Rows & x, const Matrix & b, bool stored_nk, ggml_tensor * init, ggml_tensor * x2, ggml_tensor * b2);
    void                       accumulate_outer(ggml_tensor * sum, ggml_tensor * low, const Rows & wide); // sum += lowᵀ wide
    ggml_tensor *              times(ggml_tensor * x, ggml_tensor * rows);                                // s · x rowsᵀ
    ggml_tensor *              across(ggml_tensor * x, ggml_tensor * rows);                               // x rows
    ggml_tensor *              drop(ggml_tensor * x, uint64_t stream); // a stream of random numbers belongs to one place of the graph
    ggml_tensor *              dropout_mask(const ggml_tensor * x, uint64_t stream);
    Head                       cross_entropy_plain(ggml_tensor * logits, ggml_tensor * targets);

    ggml_tensor * attention_plain(const Qkv & x, const AttentionShape & shape);
    Qkv           attention_back_plain(ggml_tensor * d_o, const Qkv & x, const AttentionShape & shape);
    Qkv           attention_back_row(ggml_tensor * d_o, ggml_tensor * q, ggml_tensor * k, ggml_tensor * v, const AttentionShape & shape);
    ggml_tensor * causal_mask(int64_t n);
    ggml_tensor * heads_of_row(ggml_tensor * x, size_t row, int64_t n_embd_head);
    ggml_tensor * row_of_heads(ggml_tensor * x);
    ggml_tensor * probabilities(ggml_tensor * q, ggml_tensor * k, const AttentionShape & shape);
    ggml_tensor * sum_group(ggml_tensor * x, const AttentionShape & shape);

    const Lora &           lora_;
    const kernels::Table * table_;
    bool                   int16_;
    ggml_context_ptr       ctx_;
    ggml_cgraph *          graph_;
    std::deque<Args>       args_; // user data of custom ops, alive as long as the graph
};

// The factor 0 or 1/(1 − p) of element `index`: a hash, so that a pass can be repeated exactly.
float dropout_factor(uint64_t seed, uint64_t stream, uint64_t index, float p);

} // namespace localft
