// Attention, forwards and backwards: by the fused kernels, and row by row from ggml's own ops, which is their twin and what
// other devices run. Per row, ggml's ne: q [n_embd_head, n, n_head], k and v [n_embd_head, n, n_head_kv].
#include "ops/ops.h"

namespace localft {

namespace {

kernels::Attention attention_args(const Args & args) {
    kernels::Attention p = {};
    p.n_head = args.n_head, p.n_head_kv = args.n_head_kv, p.n_embd_head = args.n_embd_head;
    p.row_starts = args.row_starts->data(), p.n_row = (int64_t) args.row_starts->size() - 1;
    p.scale = args.scale;
    return p;
}

void run_attention(ggml_tensor * dst, int, int nth, void * data) {
    Args &             args = args_of(data);
    kernels::Attention p    = attention_args(args);
    p.q = floats(dst->src[0]), p.k = floats(dst->src[1]), p.v = floats(dst->src[2]), p.o = floats(dst), p.lse = p.o + ggml_nelements(dst->src[0]);
    args.table->attention(p, args.turns, nth);
    args.turns.leave(nth);
}

void run_attention_back(ggml_tensor * dst, int, int nth, void * data) {
    Args &             args = args_of(data);
    kernels::Attention p    = attention_args(args);
    p.q = floats(dst->src[0]), p.k = floats(dst->src[1]), p.v = floats(dst->src[2]), p.d_o = floats(dst->src[3]);
    p.o = floats(dst->src[4]), p.lse = floats(dst->src[5]);
    p.dq = floats(dst), p.dk = p.dq + ggml_nelements(dst->src[0]), p.dv = p.dk + ggml_nelements(dst->src[1]);
    args.table->attention_back(p, args.turns, nth);
    args.turns.leave(nth);
}

} // namespace

Ops::Attended Ops::attention(const Qkv & x, const AttentionShape & shape) {
    if (plain()) return { attention_plain(x, shape), nullptr };
    Args args;
    args.n_head = shape.n_head, args.n_head_kv = shape.n_head_kv, args.n_embd_head = shape.n_embd_head, args.scale = shape.scale;
    const int64_t width = x.q->ne[0], n = x.q->ne[1];
    ggml_tensor * all = expand(custom((width + shape.n_head) * n, 1, { x.q, x.k, x.v }, run_attention, args), Kind::attention); // o, then logsumexp
    return { expand(ggml_view_2d(ctx(), all, width, n, width * sizeof(float), 0), Kind::attention),
             ggml_view_2d(ctx(), all, n, shape.n_head, n * sizeof(float), width * n * sizeof(float)) };
}

Ops::Qkv Ops::attention_back(ggml_tensor * d_o, const Attended & made, const Qkv & x, const AttentionShape & shape) {
    if (plain()) return attention_back_plain(d_o, x, shape);
    Args args;
    args.n_head = shape.n_head, args.n_head_kv = shape.n_head_kv, args.n_embd_head = shape.n_embd_head, args.scale = shape.scale;
    const int64_t nq = x.q->ne[0], nkv = x.k->ne[0], n = x.q->ne[1];
    ggml_tensor * all  = expand(custom((nq + 2 * nkv) * n, 1, { x.q, x.k, x.v, d_o, made.o, made.lse }, run_attention_back, args), Kind::attention);
    const auto    view = [&](int64_t width, int64_t at) { return ggml_view_2d(ctx(), all, width, n, width * sizeof(float), at * n * sizeof(float)); };
    return { view(nq, 0), view(nkv, nq), view(nkv, nq + nkv) };
}

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

ggml_tensor * Ops::probabilities(ggml_tensor * q, ggml_tensor * k, const AttentionShape & shape) {
    return ggml_soft_max_ext(ctx(), ggml_mul_mat(ctx(), k, q), causal_mask(q->ne[1]), shape.scale, 0.0f);
}

ggml_tensor * Ops::attention_plain(const Qkv & x, const AttentionShape & shape) {
    std::vector<ggml_tensor *> rows;
    for (size_t r = 0; r + 1 < row_starts.size(); r++) {
        ggml_tensor * q  = heads_of_row(x.q, r, shape.n_embd_head);
        ggml_tensor * k  = heads_of_row(x.k, r, shape.n_embd_head);
        ggml_tensor * vt = ggml_cont(ctx(), ggml_transpose(ctx(), heads_of_row(x.v, r, shape.n_embd_head)));
        rows.push_back(expand(row_of_heads(ggml_mul_mat(ctx(), vt, probabilities(q, k, shape))), Kind::attention));
    }
    return join(rows);
}

// [.., .., n_head] → [.., .., n_head_kv]: the heads of a group share their keys and values, so their gradients add up.
ggml_tensor * Ops::sum_group(ggml_tensor * x, const AttentionShape & shape) {
    const int64_t group = shape.n_head / shape.n_head_kv;
    ggml_tensor * total = nullptr;
    for (int64_t g = 0; g < group; g++) {
        ggml_tensor * one = ggml_cont(ctx(), ggml_view_3d(ctx(), x, x->ne[0], x->ne[1], shape.n_head_kv, x->nb[1], group * x->nb[2], g * x->nb[2]));
        total             = total ? ggml_add(ctx(), total, one) : one;
    }
    return total;
}

Ops::Qkv Ops::attention_back_row(ggml_tensor * d_o, ggml_tensor * q, ggml_tensor * k, ggml_tensor * v, const AttentionShape & shape) {
    const auto    turned = [&](ggml_tensor * t) { return ggml_cont(ctx(), ggml_transpose(ctx(), t)); };
    ggml_tensor * p      = probabilities(q, k, shape);  // [n_k, n_q, n_head]
    ggml_tensor * dp     = ggml_mul_mat(ctx(), v, d_o); // likewise
    ggml_tensor * d      = ggml_sum_rows(ctx(), ggml_mul(ctx(), p, dp));
    ggml_tensor * ds     = ggml_scale(ctx(), ggml_mul(ctx(), p, ggml_sub(ctx(), dp, d)), shape.scale);
    ggml_tensor * dq     = ggml_mul_mat(ctx(), turned(k), ds);
    ggml_tensor * dk     = sum_group(ggml_mul_mat(ctx(), turned(q), turned(ds)), shape);
    ggml_tensor * dv     = sum_group(ggml_mul_mat(ctx(), turned(d_o), turned(p)), shape);
    return { expand(row_of_heads(dq), Kind::attention), expand(row_of_heads(dk), Kind::attention), expand(row_of_heads(dv), Kind::attention) };
}

Ops::Qkv Ops::attention_back_plain(ggml_tensor * d_o, const Qkv & x, const AttentionShape & shape) {
    std::vector<ggml_tensor *> dq, dk, dv;
    for (size_t r = 0; r + 1 < row_starts.size(); r++) {
        const auto part = [&](ggml_tensor * t) { return heads_of_row(t, r, shape.n_embd_head); };
        const Qkv  row  = attention_back_row(part(d_o), part(x.q), part(x.k), part(x.v), shape);
        dq.push_back(row.q), dk.push_back(row.k), dv.push_back(row.v);
    }
    return { join(dq), join(dk), join(dv) };
}

} // namespace localft
