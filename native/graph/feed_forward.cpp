#include "graph/parts.h"

namespace localft {

bool FeedForwardGraph::has_lora(const Lora & lora) const {
    return lora.on(w_.gate) || lora.on(w_.up) || lora.on(w_.down);
}

ggml_tensor * FeedForwardGraph::forward(const GraphContext & c, ggml_tensor * x, bool keep, bool whole) {
    Ops & ops              = c.ops;
    x_                     = x;
    const Ops::Input h     = ops.enter_norm(x, w_.norm, c.hparams.rms_eps, { &w_.gate, &w_.up }, first_stream_ + IN_FFN);
    low_                   = h.low;
    const Ops::GateUp made = { Ops::as_f32(ops.linear(w_.gate, h, 0, nullptr)), Ops::as_f32(ops.linear(w_.up, h, 1, nullptr)) };
    if (keep) ffn_ = ops.kept(made);
    if (!whole) return nullptr;
    return ops.linear(w_.down, ops.enter_swiglu(made, { &w_.down }, first_stream_ + IN_DOWN), 0, x);
}

// Norm and activation function are recomputed: they cost little and would take as much memory as the products.
ggml_tensor * FeedForwardGraph::backward(const GraphContext & c, ggml_tensor * dy, bool need_dx) {
    Ops &      ops      = c.ops;
    const bool lora_in  = c.lora.on(w_.gate) || c.lora.on(w_.up);
    const bool need_act = need_dx || lora_in;
    Ops::Input act;
    if (c.lora.on(w_.down)) act = ops.enter_swiglu(ffn_, { &w_.down }, first_stream_ + IN_DOWN);
    ggml_tensor * da = ops.linear_back(w_.down, dy, act.after_dropout, act.low.empty() ? nullptr : act.low[0], nullptr, first_stream_ + IN_DOWN, need_act);
    if (!need_act) return nullptr;
    const auto [dgate, dup] = ops.enter_swiglu_back(da, ffn_, w_.gate, w_.up);
    Ops::Rows h;
    if (lora_in) h = ops.enter_norm(x_, w_.norm, c.hparams.rms_eps, {}, first_stream_ + IN_FFN).after_dropout;
    ggml_tensor * dh = ops.linear_back(w_.gate, dgate, h, low_[0], nullptr, first_stream_ + IN_FFN, need_dx);
    dh               = ops.linear_back(w_.up, dup, h, low_[1], dh, first_stream_ + IN_FFN, need_dx);
    return need_dx ? ops.norm_back(dh, x_, w_.norm, dy, c.hparams.rms_eps) : nullptr;
}

} // namespace localft
