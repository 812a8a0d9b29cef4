// What a graph reads besides weights: embeddings, positions, targets, and what the plain ops take as tensors.

#include "graph/graph.h"
#include "model/transfer.h"

#include <limits>

namespace localft {

namespace {

std::vector<float> embeddings(const ggml_tensor * e, const Batch & b) {
    const int64_t      n_embd = e->ne[0];
    std::vector<float> x(n_embd * b.n_tok);
    for (int64_t i = 0; i < b.n_tok; i++) row_to_float(e, static_cast<const char *>(e->data) + b.tokens[i] * e->nb[1], x.data() + i * n_embd);
    return x;
}

std::vector<int32_t> positions(const Batch & b, int32_t sign) {
    std::vector<int32_t> p(b.n_tok);
    for (int64_t r = 0; r < b.n_row; r++)
        for (int32_t i = b.row_starts[r]; i < b.row_starts[r + 1]; i++) p[i] = sign * (i - b.row_starts[r]);
    return p;
}

std::vector<int32_t> targets(const PassGraph::Chunk & chunk, const Batch & b, const std::vector<int32_t> & supervised) {
    std::vector<int32_t> t(chunk.n);
    for (int64_t i = 0; i < chunk.n; i++) t[i] = b.targets[supervised[chunk.first + i]];
    return t;
}

std::vector<float> causal(int64_t n) {
    std::vector<float> mask(n * n);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) mask[i * n + j] = j <= i ? 0.0f : -std::numeric_limits<float>::infinity();
    return mask;
}

std::vector<float> dropout(const Ops & ops, const Ops::DropoutMask & mask) {
    std::vector<float> factors(ggml_nelements(mask.tensor));
    for (size_t i = 0; i < factors.size(); i++) factors[i] = dropout_factor(ops.dropout_seed, mask.stream, i, ops.dropout);
    return factors;
}

} // namespace

void fill_inputs(const PassGraph & g, const Model::Impl & m, const Batch & b, const std::vector<int32_t> & supervised) {
    upload(g.x0, embeddings(m.embedding, b));
    upload(g.positions, positions(b, 1));
    if (g.positions_back && g.positions_back->buffer) upload(g.positions_back, positions(b, -1));
    if (g.supervised) upload(g.supervised, supervised);
    if (g.zeros) ggml_backend_tensor_memset(g.zeros, 0, 0, ggml_nbytes(g.zeros));
    for (const PassGraph::Chunk & chunk : g.chunks) upload(chunk.targets, targets(chunk, b, supervised));
    for (const Ops::Mask & mask : g.ops->masks) upload(mask.tensor, causal(mask.n));
    for (const Ops::DropoutMask & mask : g.ops->dropout_masks) upload(mask.tensor, dropout(*g.ops, mask));
}

} // namespace localft
