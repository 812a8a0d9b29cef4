#include "graph/head.h"

#include <algorithm>

namespace localft {

namespace {

struct Logits {
    Ops::Input    in; // what the output matrix reads
    ggml_tensor * logits;
};

// The last norm and the output matrix.
Logits logits_of(const GraphContext & c, const Model::Impl & m, ggml_tensor * x, uint64_t stream) {
    Logits made;
    made.in     = c.ops.enter_norm(x, m.output_norm, c.hparams.rms_eps, { &m.output }, stream);
    made.logits = c.ops.linear(m.output, made.in, 0, nullptr);
    return made;
}

// One chunk of supervised positions; returns the gradient of what the norm gave, where one is needed.
ggml_tensor * add_chunk(PassGraph & g, const GraphContext & c, const Model::Impl & m, ggml_tensor * x, Pass pass, int64_t first, int64_t n, uint64_t stream) {
    ggml_tensor *   chunk   = ggml_view_2d(c.ops.ctx(), x, x->ne[0], n, x->nb[1], first * x->nb[1]);
    const Logits    made    = logits_of(c, m, chunk, stream);
    ggml_tensor *   targets = c.ops.input(GGML_TYPE_I32, n);
    const Ops::Head head    = c.ops.cross_entropy(made.logits, targets);
    g.chunks.push_back({ targets, head.loss, first, n });
    if (pass != Pass::train) return nullptr;
    return c.ops.linear_back(m.output, head.d_logits, made.in.after_dropout, made.in.low[0], nullptr, stream, c.lora.lowest_layer() < c.hparams.n_layer);
}

} // namespace

int64_t chunk_rows(int64_t n_vocab) {
    constexpr int64_t BYTES = 64 << 20;
    return std::max<int64_t>(16, BYTES / ((int64_t) sizeof(float) * n_vocab));
}

ggml_tensor * add_head(PassGraph & g, const GraphContext & c, const Model::Impl & m, ggml_tensor * x, Pass pass, int64_t n_supervised, uint64_t first_stream) {
    ggml_context *             ctx = c.ops.ctx();
    const Hparams &            h   = c.hparams;
    ggml_tensor *              xs  = g.supervised ? c.ops.expand(ggml_get_rows(ctx, x, g.supervised), Kind::head) : x;
    std::vector<ggml_tensor *> d_chunks;
    // ggml's allocator gives up at 256 free blocks, and the plain ops leave some in every chunk
    const int64_t rows    = std::max(chunk_rows(h.n_vocab), c.ops.plain() ? n_supervised / 64 + 1 : 0);
    const int64_t n_chunk = (n_supervised + rows - 1) / rows;
    for (int64_t i = 0; i < n_chunk; i++) {
        const int64_t first = n_supervised * i / n_chunk;
        d_chunks.push_back(add_chunk(g, c, m, xs, pass, first, n_supervised * (i + 1) / n_chunk - first, first_stream + (uint64_t) i));
    }
    if (pass != Pass::train || !d_chunks[0]) return nullptr;
    ggml_tensor * dxs = c.ops.norm_back(c.ops.join(d_chunks), xs, m.output_norm, nullptr, h.rms_eps);
    if (!g.supervised) return dxs;
    g.zeros = c.ops.input(GGML_TYPE_F32, h.n_embd, x->ne[1]);
    return c.ops.expand(ggml_set_rows(ctx, g.zeros, dxs, g.supervised), Kind::head);
}

// Without dropout, so the number of its stream says nothing.
void add_logits(PassGraph & g, const GraphContext & c, const Model::Impl & m, ggml_tensor * x) {
    g.logits = logits_of(c, m, x, 0).logits;
    ggml_set_output(g.logits);
}

} // namespace localft
