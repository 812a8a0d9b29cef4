#include "model/architecture.h"

#include "model/error.h"

namespace localft {

namespace {

const std::vector<Architecture> ARCHITECTURES = {
    { "llama",
      {
          AttentionNames{ "attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", GGML_ROPE_TYPE_NORMAL },
          FeedForwardNames{ "ffn_norm", "ffn_gate", "ffn_up", "ffn_down" },
      } },
};

// What is to be known of each kind of part.

const char * norm_of(const AttentionNames & n) {
    return n.norm;
}

const char * norm_of(const FeedForwardNames & n) {
    return n.norm;
}

std::vector<const char *> matrices_of(const AttentionNames & n) {
    return { n.q, n.k, n.v, n.o };
}

std::vector<const char *> matrices_of(const FeedForwardNames & n) {
    return { n.gate, n.up, n.down };
}

std::vector<Matrix *> matrices_of(Attention & p) {
    return { &p.q, &p.k, &p.v, &p.o };
}

std::vector<Matrix *> matrices_of(FeedForward & p) {
    return { &p.gate, &p.up, &p.down };
}

Part bind(const AttentionNames & n, const Hparams & h, const Require & require) {
    const int64_t nq = h.n_head * h.n_embd_head, nkv = h.n_head_kv * h.n_embd_head;
    Attention     p;
    p.norm      = require(n.norm, { h.n_embd });
    p.q.w       = require(n.q, { h.n_embd, nq });
    p.k.w       = require(n.k, { h.n_embd, nkv });
    p.v.w       = require(n.v, { h.n_embd, nkv });
    p.o.w       = require(n.o, { nq, h.n_embd });
    p.rope_mode = n.rope_mode;
    return p;
}

Part bind(const FeedForwardNames & n, const Hparams & h, const Require & require) {
    FeedForward p;
    p.norm   = require(n.norm, { h.n_embd });
    p.gate.w = require(n.gate, { h.n_embd, h.n_ff });
    p.up.w   = require(n.up, { h.n_embd, h.n_ff });
    p.down.w = require(n.down, { h.n_ff, h.n_embd });
    return p;
}

} // namespace

const Architecture & find_architecture(const std::string & name) {
    std::string known;
    for (const Architecture & a : ARCHITECTURES) {
        if (name == a.name) return a;
        known += (known.empty() ? "" : ", ") + std::string(a.name);
    }
    fail_to_load("architecture \"" + name + "\" cannot be trained yet (can be: " + known + ")");
}

std::vector<const char *> norm_names(const Architecture & architecture) {
    std::vector<const char *> all;
    for (const PartNames & part : architecture.layer) all.push_back(std::visit([](const auto & names) { return norm_of(names); }, part));
    return all;
}

std::vector<const char *> matrix_names(const Architecture & architecture) {
    std::vector<const char *> all;
    for (const PartNames & part : architecture.layer)
        for (const char * name : std::visit([](const auto & names) { return matrices_of(names); }, part)) all.push_back(name);
    return all;
}

Layer bind_layer(const Architecture & architecture, const Hparams & hparams, const Require & require) {
    Layer layer;
    for (const PartNames & part : architecture.layer)
        layer.parts.push_back(std::visit([&](const auto & names) { return bind(names, hparams, require); }, part));
    return layer;
}

std::vector<Matrix *> matrices(Layer & layer) {
    std::vector<Matrix *> all;
    for (Part & part : layer.parts)
        for (Matrix * w : std::visit([](auto & p) { return matrices_of(p); }, part)) all.push_back(w);
    return all;
}

} // namespace localft
