// Attention from ggml's own ops, row by row: the twin of kernels' fused attention, and what other devices run.
// Per row, ggml's ne: q [n_embd_head, n, n_head], k and v [n_embd_head, n, n_head_kv].
#include "graph/graph.h"

#include <cmath>

namespace localft {

namespace {

float attention_scale(const Hparams & h) {
    return 1.0f / sqrtf((float) h.n_embd_head);
}

} // namespace

ggml_tensor * Ops::causal_mask(int64_t n) {
    for (const Mask & mask : masks)
        if (mask.n == n) return mask.tensor;
    masks.push_back({ input(GGML_TYPE_F32, n, n), n });
    return masks.back().tensor;
}

// Row `row` of x [n_tok, n_head * n_embd_head] as [n_embd_head, n, n_head], contiguous.
ggml_tensor * Ops::heads_of_row(ggml_tensor * x, size_t row, int64_t n_embd_head) {
    const int64_t first = row_starts[row], n = row_starts[row + 1] - first;
    ggml_tensor * view = ggml_view_3d(ctx(), x, n_embd_head, x->ne[0] / n_embd_head, n, n_embd_head * sizeof(float), x->nb[1], first * x->nb[1]);
    return ggml_cont(ctx(), ggml_permute(ctx(), view, 0, 2, 1, 3));
}

ggml_tensor * Ops::row_of_heads(ggml_tensor * x) {
    ggml_tensor * y = ggml_cont(ctx(), ggml_permute(ctx(), x, 0, 2, 1, 3));
    return ggml_reshape_2d(ctx(), y, y->ne[0] * y->ne[1], y->ne[2]);
}

// Concatenate along tokens, pairwise, so that the copies stay few.
ggml_tensor * Ops::join(std::vector<ggml_tensor *> parts) {
    while (parts.size() > 1) {
        std::vector<ggml_tensor *> fewer;
        for (size_t i = 0; i + 1 < parts.size(); i += 2) fewer.push_back(ggml_concat(ctx(), parts[i], parts[i + 1], 1));
        if (parts.size() % 2) fewer.push_back(parts.back());
        parts = std::move(fewer);
    }
    return expand(parts[0], Kind::attention);
}

ggml_tensor * Ops::probabilities(ggml_tensor * q, ggml_tensor * k, const Hparams & h) {
    return ggml_soft_max_ext(ctx(), ggml_mul_mat(ctx(), k, q), causal_mask(q->ne[1]), attention_scale(h), 0.0f);
}

ggml_tensor * Ops::attention_plain(const Qkv & x, const Hparams & h) {
    std::vector<ggml_tensor *> rows;
    for (size_t r = 0; r + 1 < row_starts.size(); r++) {
        ggml_tensor * q  = heads_of_row(x.q, r, h.n_embd_head);
        ggml_tensor * k  = heads_of_row(x.k, r, h.n_embd_head);
        ggml_tensor * vt = ggml_cont(ctx(), ggml_transpose(ctx(), heads_of_row(x.v, r, h.n_embd_head)));
        rows.push_back(expand(row_of_heads(ggml_mul_mat(ctx(), vt, probabilities(q, k, h))), Kind::attention));
    }
    return join(rows);
}

// [.., .., n_head] → [.., .., n_head_kv]: the heads of a group share their keys and values, so their gradients add up.
ggml_tensor * Ops::sum_group(ggml_tensor * x, const Hparams & h) {
    const int64_t group = h.n_head / h.n_head_kv;
    ggml_tensor * total = nullptr;
    for (int64_t g = 0; g < group; g++) {
        ggml_tensor * one = ggml_cont(ctx(), ggml_view_3d(ctx(), x, x->ne[0], x->ne[1], h.n_head_kv, x->nb[1], group * x->nb[2], g * x->nb[2]));
        total             = total ? ggml_add(ctx(), total, one) : one;
    }
    return total;
}

Ops::Qkv Ops::attention_back_row(ggml_tensor * d_o, ggml_tensor * q, ggml_tensor * k, ggml_tensor * v, const Hparams & h) {
    const auto    turned = [&](ggml_tensor * t) { return ggml_cont(ctx(), ggml_transpose(ctx(), t)); };
    ggml_tensor * p      = probabilities(q, k, h);      // [n_k, n_q, n_head]
    ggml_tensor * dp     = ggml_mul_mat(ctx(), v, d_o); // likewise
    ggml_tensor * d      = ggml_sum_rows(ctx(), ggml_mul(ctx(), p, dp));
    ggml_tensor * ds     = ggml_scale(ctx(), ggml_mul(ctx(), p, ggml_sub(ctx(), dp, d)), attention_scale(h));
    ggml_tensor * dq     = ggml_mul_mat(ctx(), turned(k), ds);
    ggml_tensor * dk     = sum_group(ggml_mul_mat(ctx(), turned(q), turned(ds)), h);
    ggml_tensor * dv     = sum_group(ggml_mul_mat(ctx(), turned(d_o), turned(p)), h);
    return { expand(row_of_heads(dq), Kind::attention), expand(row_of_heads(dk), Kind::attention), expand(row_of_heads(dv), Kind::attention) };
}

Ops::Qkv Ops::attention_back_plain(ggml_tensor * d_o, const Qkv & x, const Hparams & h) {
    std::vector<ggml_tensor *> dq, dk, dv;
    for (size_t r = 0; r + 1 < row_starts.size(); r++) {
        const auto part = [&](ggml_tensor * t) { return heads_of_row(t, r, h.n_embd_head); };
        const Qkv  row  = attention_back_row(part(d_o), part(x.q), part(x.k), part(x.v), h);
        dq.push_back(row.q), dk.push_back(row.k), dv.push_back(row.v);
    }
    return { join(dq), join(dk), join(dv) };
}

} // namespace localft
