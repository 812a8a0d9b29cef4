#include "graph/graph.h"

#include <algorithm>

namespace localft {

namespace {

// What a layer's backward pass reads. [n_tok, ...], as ggml's contiguous f32.
struct Acts {
    ggml_tensor *              x = nullptr;                   // the layer's input
    Ops::Qkv                   qkv{};                         // q and k after RoPE
    ggml_tensor *              o = nullptr, *x_mid = nullptr; // attention's output; the stream after attention
    Ops::GateUp                ffn{};                         // as Ops::kept leaves them
    std::vector<ggml_tensor *> low_qkv, low_o, low_ffn;       // as Ops::Input has them
};

// Inputs that share a dropout mask: the four places in a layer where LoRA reads.
enum Stream { IN_QKV, IN_O, IN_FFN, IN_DOWN, N_STREAM };

class Builder {
public:
    Builder(Model::Impl & model, Lora & lora, const GraphOptions & options, Pass pass, const std::vector<int32_t> & row_starts, int64_t n_supervised);

    StepGraph finish() { return std::move(g_); }

private:
    uint64_t      stream(int64_t il, Stream s) const { return (uint64_t) il * N_STREAM + s; }
    ggml_tensor * rope(ggml_tensor * x, ggml_tensor * positions);
    ggml_tensor * forward(int64_t il, Acts & a, bool whole);
    ggml_tensor * backward(int64_t il, const Acts & a, ggml_tensor * dy);
    ggml_tensor * head(ggml_tensor * x);
    ggml_tensor * head_chunk(ggml_tensor * x, int64_t first, int64_t n);
    ggml_tensor * back(const Matrix & w, ggml_tensor * dy, const Ops::Rows & x, ggml_tensor * low, ggml_tensor * init, uint64_t stream, bool need_dx);
    bool          lora_on(const Matrix & w) { return lora_.find(w.w) != nullptr; }

    Model::Impl &   m_;
    const Hparams & h_;
    Lora &          lora_;
    Pass            pass_;
    int64_t         n_tok_, n_supervised_, n_recompute_;
    StepGraph       g_;
    Ops *           ops_;
};

int64_t chunk_rows(int64_t n_vocab) {
    constexpr int64_t BYTES = 64 << 20; // of logits
    return std::max<int64_t>(16, BYTES / ((int64_t) sizeof(float) * n_vocab));
}

// Bounds for a layer that recomputes, with LoRA and dropout on every matrix; a test runs that.
size_t max_nodes(const Hparams & h, bool plain, size_t n_row, int64_t n_supervised) {
    const size_t per_row   = 96 + 8 * (size_t) (h.n_head / h.n_head_kv);
    const size_t per_layer = 256 + (plain ? 320 + per_row * n_row : 0);
    return 256 + (size_t) h.n_layer * per_layer + 64 * (size_t) (n_supervised / chunk_rows(h.n_vocab) + 1);
}

Builder::Builder(Model::Impl & model, Lora & lora, const GraphOptions & options, Pass pass, const std::vector<int32_t> & row_starts, int64_t n_supervised)
    : m_(model), h_(model.hparams), lora_(lora), pass_(pass), n_tok_(row_starts.back()), n_supervised_(n_supervised), n_recompute_(options.n_recompute) {
    g_.ops             = std::make_unique<Ops>(lora, options.table, options.int16, max_nodes(h_, !options.table, row_starts.size(), n_supervised));
    ops_               = g_.ops.get();
    ops_->row_starts   = row_starts;
    ops_->lora_scale   = options.lora_scale;
    ops_->dropout      = pass == Pass::train ? options.dropout : 0.0f;
    ops_->dropout_seed = options.dropout_seed;
    g_.x0              = ops_->input(GGML_TYPE_F32, h_.n_embd, n_tok_);
    g_.positions       = ops_->input(GGML_TYPE_I32, n_tok_);
    if (pass == Pass::train) g_.positions_back = ops_->input(GGML_TYPE_I32, n_tok_);
    if (n_supervised < n_tok_) g_.supervised = ops_->input(GGML_TYPE_I32, n_supervised);

    std::vector<Acts> acts(h_.n_layer);
    ggml_tensor *     x = g_.x0;
    for (int64_t il = 0; il < h_.n_layer; il++) {
        acts[il].x = x;
        x          = forward(il, acts[il], true);
    }
    ops_->in_head    = true;
    ggml_tensor * dx = head(x);
    ops_->in_head    = false;
    if (pass != Pass::train) return;
    for (int64_t il = h_.n_layer - 1; il >= lora_.lowest_layer(); il--) {
        if (il < n_recompute_) {
            Acts again;
            again.x = acts[il].x;
            forward(il, again, false);
            acts[il] = again;
        }
        dx = backward(il, acts[il], dx);
    }
}

ggml_tensor * Builder::rope(ggml_tensor * x, ggml_tensor * positions) {
    ggml_context * ctx = ops_->ctx();
    ggml_tensor *  y   = ggml_reshape_3d(ctx, x, h_.n_embd_head, x->ne[0] / h_.n_embd_head, x->ne[1]);
    y = ggml_rope_ext(ctx, y, positions, m_.rope_freqs, (int) h_.n_rot, m_.arch->rope_mode, (int) h_.n_ctx_train, h_.rope_freq_base, h_.rope_freq_scale, 0.0f,
                      1.0f, 32.0f, 1.0f);
    return ops_->expand(ggml_reshape_2d(ctx, y, x->ne[0], x->ne[1]), Kind::elementwise);
}

// Returns the layer's output; where not `whole`, only what the backward pass reads is computed and null is returned.
ggml_tensor * Builder::forward(int64_t il, Acts & a, bool whole) {
    const Layer &    l    = m_.layers[il];
    const Ops::Input h    = ops_->enter_norm(a.x, l.attn_norm, h_.rms_eps, { &l.q, &l.k, &l.v }, stream(il, IN_QKV));
    a.low_qkv             = h.low;
    a.qkv.q               = rope(ops_->linear(l.q, h, 0, nullptr), g_.positions);
    a.qkv.k               = rope(ops_->linear(l.k, h, 1, nullptr), g_.positions);
    a.qkv.v               = ops_->linear(l.v, h, 2, nullptr);
    a.o                   = ops_->attention(a.qkv, h_);
    const Ops::Input o    = ops_->enter(a.o, { &l.o }, stream(il, IN_O));
    a.low_o               = o.low;
    a.x_mid               = ops_->linear(l.o, o, 0, a.x);
    const Ops::Input h2   = ops_->enter_norm(a.x_mid, l.ffn_norm, h_.rms_eps, { &l.gate, &l.up }, stream(il, IN_FFN));
    a.low_ffn             = h2.low;
    const Ops::GateUp ffn = { Ops::as_f32(ops_->linear(l.gate, h2, 0, nullptr)), Ops::as_f32(ops_->linear(l.up, h2, 1, nullptr)) };
    if (pass_ == Pass::train && il >= lora_.lowest_layer() && (!whole || il >= n_recompute_)) a.ffn = ops_->kept(ffn);
    if (!whole) return nullptr;
    return ops_->linear(l.down, ops_->enter_swiglu(ffn, { &l.down }, stream(il, IN_DOWN)), 0, a.x_mid);
}

// linear_back of a gradient that nothing else reads.
ggml_tensor * Builder::back(const Matrix & w, ggml_tensor * dy, const Ops::Rows & x, ggml_tensor * low, ggml_tensor * init, uint64_t stream, bool need_dx) {
    if (!need_dx && !lora_on(w)) return init;
    return ops_->linear_back(w, ops_->enter_back(dy, w), x, low, init, stream, need_dx);
}

// Accumulates the layer's LoRA gradients and returns dx, or null below the lowest adapted layer. Norms and the
// activation function are recomputed: they cost little and would take as much memory as the products.
ggml_tensor * Builder::backward(int64_t il, const Acts & a, ggml_tensor * dy) {
    const Layer & l        = m_.layers[il];
    const bool    need_x   = il > lora_.lowest_layer();
    const bool    need_qkv = need_x || lora_on(l.q) || lora_on(l.k) || lora_on(l.v);
    const bool    need_mid = need_qkv || lora_on(l.o);
    const bool    need_act = need_mid || lora_on(l.gate) || lora_on(l.up);

    Ops::Input act;
    if (lora_on(l.down)) act = ops_->enter_swiglu(a.ffn, { &l.down }, stream(il, IN_DOWN));
    ggml_tensor * da = back(l.down, dy, act.dropped, lora_on(l.down) ? act.low[0] : nullptr, nullptr, stream(il, IN_DOWN), need_act);
    if (!need_act) return nullptr;
    const auto [dgate, dup] = ops_->enter_swiglu_back(da, a.ffn, l.gate, l.up);
    Ops::Rows h2;
    if (lora_on(l.gate) || lora_on(l.up)) h2 = ops_->enter_norm(a.x_mid, l.ffn_norm, h_.rms_eps, {}, stream(il, IN_FFN)).dropped;
    ggml_tensor * dh2 = ops_->linear_back(l.gate, dgate, h2, a.low_ffn[0], nullptr, stream(il, IN_FFN), need_mid);
    dh2               = ops_->linear_back(l.up, dup, h2, a.low_ffn[1], dh2, stream(il, IN_FFN), need_mid);
    if (!need_mid) return nullptr;
    ggml_tensor * dx_mid = ops_->norm_back(dh2, a.x_mid, l.ffn_norm, dy, h_.rms_eps);
    Ops::Rows     o;
    if (lora_on(l.o)) o = ops_->enter(a.o, {}, stream(il, IN_O)).dropped;
    ggml_tensor * d_o = back(l.o, dx_mid, o, a.low_o[0], nullptr, stream(il, IN_O), need_qkv);
    if (!need_qkv) return nullptr;
    Ops::Qkv dqkv = ops_->attention_back(d_o, a.o, a.qkv, h_);
    dqkv.q        = rope(dqkv.q, g_.positions_back);
    dqkv.k        = rope(dqkv.k, g_.positions_back);
    Ops::Rows h;
    if (lora_on(l.q) || lora_on(l.k) || lora_on(l.v)) h = ops_->enter_norm(a.x, l.attn_norm, h_.rms_eps, {}, stream(il, IN_QKV)).dropped;
    ggml_tensor * dh = back(l.q, dqkv.q, h, a.low_qkv[0], nullptr, stream(il, IN_QKV), need_x);
    dh               = back(l.k, dqkv.k, h, a.low_qkv[1], dh, stream(il, IN_QKV), need_x);
    dh               = back(l.v, dqkv.v, h, a.low_qkv[2], dh, stream(il, IN_QKV), need_x);
    return need_x ? ops_->norm_back(dh, a.x, l.attn_norm, dx_mid, h_.rms_eps) : nullptr;
}

// One chunk of supervised positions through the last norm and the head; returns the gradient of what the norm gave, where
// one is needed.
ggml_tensor * Builder::head_chunk(ggml_tensor * x, int64_t first, int64_t n) {
    ggml_context *   ctx     = ops_->ctx();
    const uint64_t   place   = stream(h_.n_layer, IN_QKV) + g_.chunks.size();
    ggml_tensor *    part    = ggml_view_2d(ctx, x, h_.n_embd, n, x->nb[1], first * x->nb[1]);
    const Ops::Input h       = ops_->enter_norm(part, m_.output_norm, h_.rms_eps, { &m_.output }, place);
    ggml_tensor *    logits  = ops_->linear(m_.output, h, 0, nullptr);
    ggml_tensor *    targets = ops_->input(GGML_TYPE_I32, n);
    const Ops::Head  head    = ops_->cross_entropy(logits, targets);
    g_.chunks.push_back({ targets, head.loss, first, n });
    if (pass_ != Pass::train) return nullptr;
    return back(m_.output, head.d_logits, h.dropped, h.low[0], nullptr, place, lora_.lowest_layer() < h_.n_layer);
}

// The last norm and the output matrix, at supervised positions only. Returns dx over all positions when training.
ggml_tensor * Builder::head(ggml_tensor * x) {
    ggml_context * ctx = ops_->ctx();
    ggml_tensor *  xs  = g_.supervised ? ops_->expand(ggml_get_rows(ctx, x, g_.supervised), Kind::head) : x;
    if (pass_ == Pass::logits) {
        g_.logits = ops_->linear(m_.output, ops_->enter_norm(xs, m_.output_norm, h_.rms_eps, { &m_.output }, 0), 0, nullptr);
        ggml_set_output(g_.logits);
        return nullptr;
    }
    std::vector<ggml_tensor *> d_chunks;
    // ggml's allocator gives up at 256 free blocks, and the plain ops leave some in every chunk
    const int64_t rows    = std::max(chunk_rows(h_.n_vocab), ops_->plain() ? n_supervised_ / 64 + 1 : 0);
    const int64_t n_chunk = (n_supervised_ + rows - 1) / rows;
    for (int64_t i = 0; i < n_chunk; i++) {
        const int64_t first = n_supervised_ * i / n_chunk;
        d_chunks.push_back(head_chunk(xs, first, n_supervised_ * (i + 1) / n_chunk - first));
    }
    if (pass_ != Pass::train || !d_chunks[0]) return nullptr;
    ggml_tensor * dxs = ops_->norm_back(ops_->join(d_chunks), xs, m_.output_norm, nullptr, h_.rms_eps);
    if (!g_.supervised) return dxs;
    g_.zeros = ops_->input(GGML_TYPE_F32, h_.n_embd, n_tok_);
    return ops_->expand(ggml_set_rows(ctx, g_.zeros, dxs, g_.supervised), Kind::head);
}

} // namespace

StepGraph build(Model::Impl & model, Lora & lora, const GraphOptions & options, Pass pass, const std::vector<int32_t> & row_starts, int64_t n_supervised) {
    return Builder(model, lora, options, pass, row_starts, n_supervised).finish();
}

} // namespace localft
