#include "model/architecture.h"

#include "error.h"

#include <ggml.h>

#include <cmath>

namespace localft {

namespace {

std::vector<PartSpec> llama_layer(int64_t) {
    return {
        AttentionSpec{ "attn_norm.weight", "attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_output.weight", GGML_ROPE_TYPE_NORMAL },
        FeedForwardSpec{ "ffn_norm.weight", "ffn_gate.weight", "ffn_up.weight", "ffn_down.weight" },
    };
}

const std::vector<Architecture> ARCHITECTURES = {
    { "llama", llama_layer, "output_norm.weight" },
};

// What is to be known of each kind of part: its tensors, and which of them can carry LoRA.

Part bind(const AttentionSpec & spec, const Hparams & h, const Rope & rope, const Require & require) {
    const int64_t    nq = h.n_head * h.n_embd_head, nkv = h.n_head_kv * h.n_embd_head;
    AttentionWeights p;
    p.norm      = require(spec.norm, { h.n_embd });
    p.q.w       = require(spec.q, { h.n_embd, nq });
    p.k.w       = require(spec.k, { h.n_embd, nkv });
    p.v.w       = require(spec.v, { h.n_embd, nkv });
    p.o.w       = require(spec.o, { nq, h.n_embd });
    p.shape     = { h.n_head, h.n_head_kv, h.n_embd_head, 1.0f / sqrtf((float) h.n_embd_head) };
    p.rope      = rope;
    p.rope.mode = spec.rope_mode;
    return p;
}

std::vector<Matrix *> matrices_of(AttentionWeights & p) {
    return { &p.q, &p.k, &p.v, &p.o };
}

Part bind(const FeedForwardSpec & spec, const Hparams & h, const Rope &, const Require & require) {
    FeedForwardWeights p;
    p.norm   = require(spec.norm, { h.n_embd });
    p.gate.w = require(spec.gate, { h.n_embd, h.n_ff });
    p.up.w   = require(spec.up, { h.n_embd, h.n_ff });
    p.down.w = require(spec.down, { h.n_ff, h.n_embd });
    return p;
}

std::vector<Matrix *> matrices_of(FeedForwardWeights & p) {
    return { &p.gate, &p.up, &p.down };
}

} // namespace

const Architecture & find_architecture(const std::string & name) {
    std::string known;
    for (const Architecture & a : ARCHITECTURES) {
        if (name == a.name) return a;
        known += (known.empty() ? "" : ", ") + std::string(a.name);
    }
    fail("load", "architecture \"" + name + "\" cannot be trained yet (can be: " + known + ")");
}

Layer bind_layer(const std::vector<PartSpec> & parts, const Hparams & hparams, const Rope & rope, const Require & require) {
    Layer layer;
    for (const PartSpec & part : parts) layer.parts.push_back(std::visit([&](const auto & spec) { return bind(spec, hparams, rope, require); }, part));
    return layer;
}

std::vector<Matrix *> matrices(Layer & layer) {
    std::vector<Matrix *> all;
    for (Part & part : layer.parts)
        for (Matrix * w : std::visit([](auto & p) { return matrices_of(p); }, part)) all.push_back(w);
    return all;
}

} // namespace localft
