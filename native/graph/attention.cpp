#include "graph/parts.h"

namespace localft {

bool AttentionGraph::lora_on_qkv(const Lora & lora) const {
    return lora.on(w_.q) || lora.on(w_.k) || lora.on(w_.v);
}

bool AttentionGraph::has_lora(const Lora & lora) const {
    return lora_on_qkv(lora) || lora.on(w_.o);
}

ggml_tensor * AttentionGraph::rope(const GraphContext & c, ggml_tensor * x, ggml_tensor * positions) const {
    const Rope &   r   = w_.rope;
    ggml_context * ctx = c.ops.ctx();
    ggml_tensor *  y   = ggml_reshape_3d(ctx, x, w_.shape.n_embd_head, x->ne[0] / w_.shape.n_embd_head, x->ne[1]);
    y                  = ggml_rope_ext(ctx, y, positions, r.freqs, r.n_rot, r.mode, r.n_ctx_train, r.freq_base, r.freq_scale, 0.0f, 1.0f, 32.0f, 1.0f);
    return c.ops.expand(ggml_reshape_2d(ctx, y, x->ne[0], x->ne[1]), Kind::elementwise);
}

ggml_tensor * AttentionGraph::forward(const GraphContext & c, ggml_tensor * x, bool, bool whole) {
    Ops & ops          = c.ops;
    x_                 = x;
    const Ops::Input h = ops.enter_norm(x, w_.norm, c.hparams.rms_eps, { &w_.q, &w_.k, &w_.v }, first_stream_ + IN_QKV);
    low_qkv_           = h.low;
    qkv_.q             = rope(c, ops.linear(w_.q, h, 0, nullptr), c.positions);
    qkv_.k             = rope(c, ops.linear(w_.k, h, 1, nullptr), c.positions);
    qkv_.v             = ops.linear(w_.v, h, 2, nullptr);
    made_              = ops.attention(qkv_, w_.shape);
    const Ops::Input o = ops.enter(made_.o, { &w_.o }, first_stream_ + IN_O);
    low_o_             = o.low;
    return whole ? ops.linear(w_.o, o, 0, x) : nullptr;
}

// The norm is recomputed: it costs little and would take as much memory as a product.
ggml_tensor * AttentionGraph::backward(const GraphContext & c, ggml_tensor * dy, bool need_dx) {
    Ops &      ops      = c.ops;
    const bool need_qkv = need_dx || lora_on_qkv(c.lora);
    Ops::Rows  o;
    if (c.lora.on(w_.o)) o = ops.enter(made_.o, {}, first_stream_ + IN_O).after_dropout;
    ggml_tensor * d_o = ops.linear_back(w_.o, dy, o, low_o_[0], nullptr, first_stream_ + IN_O, need_qkv);
    if (!need_qkv) return nullptr;
    Ops::Qkv d = ops.attention_back(d_o, made_, qkv_, w_.shape);
    d.q        = rope(c, d.q, c.positions_back);
    d.k        = rope(c, d.k, c.positions_back);
    Ops::Rows h;
    if (lora_on_qkv(c.lora)) h = ops.enter_norm(x_, w_.norm, c.hparams.rms_eps, {}, first_stream_ + IN_QKV).after_dropout;
    ggml_tensor * dh = ops.linear_back(w_.q, d.q, h, low_qkv_[0], nullptr, first_stream_ + IN_QKV, need_dx);
    dh               = ops.linear_back(w_.k, d.k, h, low_qkv_[1], dh, first_stream_ + IN_QKV, need_dx);
    dh               = ops.linear_back(w_.v, d.v, h, low_qkv_[2], dh, first_stream_ + IN_QKV, need_dx);
    return need_dx ? ops.norm_back(dh, x_, w_.norm, dy, c.hparams.rms_eps) : nullptr;
}

} // namespace localft
