#include "graph/graph.h"

#include <ggml-cpu.h>

#include <algorithm>
#include <cmath>

namespace localft {

namespace {

kernels::ToFloat to_float(const kernels::Table & table, ggml_type type) {
    switch (type) {
        case GGML_TYPE_F32: return nullptr;
        case GGML_TYPE_F16: return [](const void * x, float * y, int64_t n) { ggml_cpu_fp16_to_fp32(static_cast<const ggml_fp16_t *>(x), y, n); };
        case GGML_TYPE_BF16: return [](const void * x, float * y, int64_t n) { ggml_cpu_bf16_to_fp32(static_cast<const ggml_bf16_t *>(x), y, n); };
        case GGML_TYPE_Q8_0: return table.q8_0_to_float;
        case GGML_TYPE_Q4_0: return table.q4_0_to_float;
        case GGML_TYPE_Q6_K: return table.q6_k_to_float;
        default: return ggml_get_type_traits(type)->to_float;
    }
}

kernels::Operand operand(const kernels::Table & table, const ggml_tensor * t, bool stored_nk) {
    const ggml_type_traits * traits = ggml_get_type_traits(t->type);
    return { t->data, to_float(table, t->type), t->nb[1], traits->blck_size, traits->type_size, stored_nk, t->type == GGML_TYPE_Q8_0 };
}

// Calls run(i) for rows of n, a few at a turn.
template <typename Run>
void each_row(Args & args, int64_t n, int nth, Run run) {
    const int64_t rows = std::clamp<int64_t>(n / (4 * nth), 1, 16);
    for (int64_t first; (first = args.turns.take() * rows) < n;)
        for (int64_t i = first; i < std::min(first + rows, n); i++) run(i);
    args.turns.leave(nth);
}

// dst [m, n] = x b (+ init) (+ x2 b2)
void run_product(ggml_tensor * dst, int, int nth, void * data) {
    Args &              args = args_of(data);
    const ggml_tensor * x    = dst->src[0];
    kernels::Product    p    = {};
    p.m = dst->ne[1], p.n = dst->ne[0], p.k = dst->src[1]->ne[args.stored_nk ? 0 : 1];
    p.a = floats(x), p.a_stride = stride(x);
    p.b = operand(*args.table, dst->src[1], args.stored_nk);
    p.c = floats(dst), p.c_stride = stride(dst);
    int next = 2;
    if (args.has_init) {
        p.init = floats(dst->src[next]), p.init_stride = stride(dst->src[next]);
        next++;
    }
    if (args.has_tail) {
        const ggml_tensor *x2 = dst->src[next], *b2 = dst->src[next + 1];
        p.k2 = x2->ne[0], p.a2 = floats(x2), p.a2_stride = stride(x2), p.b2 = floats(b2);
    }
    (args.int16 ? args.table->product16 : args.table->product)(p, args.turns, nth);
    args.turns.leave(nth);
}

// dst [rank, width] += lowᵀ wide
void run_outer(ggml_tensor * dst, int, int nth, void * data) {
    Args &             args = args_of(data);
    const ggml_tensor *low = dst->src[1], *wide = dst->src[2];
    args.table->outer({ dst->ne[1], dst->ne[0], low->ne[1], floats(low), stride(low), floats(wide), stride(wide), args.int16, floats(dst) }, args.turns, nth);
    args.turns.leave(nth);
}

kernels::Attention attention_args(const Args & args) {
    kernels::Attention p = {};
    p.n_head = args.n_head, p.n_head_kv = args.n_head_kv, p.n_embd_head = args.n_embd_head;
    p.row_starts = args.row_starts->data(), p.n_row = (int64_t) args.row_starts->size() - 1;
    p.scale = 1.0f / sqrtf((float) args.n_embd_head);
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
    p.o = floats(dst->src[4]), p.lse = p.o + ggml_nelements(dst->src[0]);
    p.dq = floats(dst), p.dk = p.dq + ggml_nelements(dst->src[0]), p.dv = p.dk + ggml_nelements(dst->src[1]);
    args.table->attention_back(p, args.turns, nth);
    args.turns.leave(nth);
}

void run_norm_back(ggml_tensor * dst, int, int nth, void * data) {
    Args &        args = args_of(data);
    const int64_t n    = dst->ne[0];
    const float * add  = args.has_init ? floats(dst->src[3]) : nullptr;
    each_row(args, dst->ne[1], nth, [&](int64_t i) {
        const float *dh = floats(dst->src[0]) + i * n, *x = floats(dst->src[1]) + i * n;
        args.table->rms_norm_back(dh, x, floats(dst->src[2]), add ? add + i * n : nullptr, floats(dst) + i * n, n, args.eps);
    });
}

// dst is logits in place; src: logits, targets, loss
void run_cross_entropy(ggml_tensor * dst, int, int nth, void * data) {
    Args &          args    = args_of(data);
    const int32_t * targets = static_cast<const int32_t *>(dst->src[1]->data);
    float *         loss    = floats(dst->src[2]);
    each_row(args, dst->ne[1], nth, [&](int64_t i) { loss[i] = args.table->cross_entropy(floats(dst) + i * dst->ne[0], dst->ne[0], targets[i]); });
}

void run_drop(ggml_tensor * dst, int, int nth, void * data) {
    Args &        args = args_of(data);
    const int64_t n    = dst->ne[0];
    each_row(args, dst->ne[1], nth, [&](int64_t row) {
        for (int64_t i = row * n; i < (row + 1) * n; i++)
            floats(dst)[i] = floats(dst->src[0])[i] * dropout_factor(args.seed, args.stream, (uint64_t) i, args.p);
    });
}

uint64_t mix(uint64_t x) { // the finaliser of SplitMix64 (Steele, Lea and Flood, 2014)
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

} // namespace

float dropout_factor(uint64_t seed, uint64_t stream, uint64_t index, float p) {
    const uint64_t bits = mix(mix(seed + 0x9e3779b97f4a7c15ull * (stream + 1)) + 0x9e3779b97f4a7c15ull * index);
    return (float) (bits >> 40) * 0x1p-24f < p ? 0.0f : 1.0f / (1.0f - p);
}

Ops::Ops(Lora & lora, const kernels::Table * table, bool int16, size_t max_nodes) : lora_(lora), table_(table), int16_(int16) {
    ggml_init_params params = { ggml_tensor_overhead() * max_nodes + ggml_graph_overhead_custom(max_nodes, false), nullptr, true };
    ctx_.reset(ggml_init(params));
    graph_ = ggml_new_graph_custom(ctx_.get(), max_nodes, false);
}

ggml_tensor * Ops::expand(ggml_tensor * t, Kind kind) {
    ggml_build_forward_expand(graph_, t);
    kinds.resize(ggml_graph_n_nodes(graph_), in_head ? Kind::head : kind);
    return t;
}

ggml_tensor * Ops::input(ggml_type type, int64_t ne0, int64_t ne1) {
    ggml_tensor * t = ggml_new_tensor_2d(ctx(), type, ne0, ne1);
    ggml_set_input(t);
    ggml_set_output(t); // keeps its memory to the end
    return t;
}

ggml_tensor * Ops::custom(int64_t ne0, int64_t ne1, int64_t ne2, std::vector<ggml_tensor *> sources, ggml_custom_op_t f, Args args) {
    args.table      = table_;
    args.row_starts = &row_starts;
    args_.push_back(args);
    return ggml_custom_4d(ctx(), GGML_TYPE_F32, ne0, ne1, ne2, 1, sources.data(), (int) sources.size(), f, GGML_N_TASKS_MAX, &args_.back());
}

ggml_tensor * Ops::custom_inplace(ggml_tensor * t, std::vector<ggml_tensor *> sources, ggml_custom_op_t f, Args args) {
    args.table = table_;
    args_.push_back(args);
    return ggml_custom_inplace(ctx(), t, sources.data(), (int) sources.size(), f, GGML_N_TASKS_MAX, &args_.back());
}

ggml_tensor * Ops::product(const Rows & x, const Matrix & b, bool stored_nk, ggml_tensor * init, ggml_tensor * x2, ggml_tensor * b2) {
    if (plain()) {
        ggml_tensor * y = ggml_mul_mat(ctx(), stored_nk ? b.w : b.wt, x.data);
        if (x2) y = ggml_add(ctx(), y, across(x2, b2));
        return init ? ggml_add(ctx(), y, init) : y;
    }
    std::vector<ggml_tensor *> sources = { x.data, b.w };
    Args                       args;
    args.stored_nk = stored_nk, args.has_init = init, args.has_tail = x2, args.int16 = x.int16;
    if (init) sources.push_back(init);
    if (x2) sources.insert(sources.end(), { x2, b2 });
    return custom(b.w->ne[stored_nk ? 1 : 0], x.data->ne[1], 1, sources, run_product, args);
}

ggml_tensor * Ops::times(ggml_tensor * x, ggml_tensor * rows) {
    if (plain()) return ggml_scale(ctx(), ggml_mul_mat(ctx(), rows, x), lora_scale);
    if (rows->ne[1] <= kernels::THIN) return make_rows({ kernels::Rows::From::given, { x }, x->ne[0] }, kernels::Rows::As::nothing, { rows });
    Args args;
    args.stored_nk = true;
    return ggml_scale(ctx(), custom(rows->ne[1], x->ne[1], 1, { x, rows }, run_product, args), lora_scale);
}

ggml_tensor * Ops::across(ggml_tensor * x, ggml_tensor * rows) {
    if (plain()) return ggml_mul_mat(ctx(), ggml_cont(ctx(), ggml_transpose(ctx(), rows)), x);
    return custom(rows->ne[0], x->ne[1], 1, { x, rows }, run_product, {});
}

void Ops::accumulate_outer(ggml_tensor * sum, ggml_tensor * low, const Rows & wide) {
    if (!plain()) {
        Args args;
        args.int16 = wide.int16;
        expand(custom_inplace(sum, { low, wide.data }, run_outer, args), Kind::low_rank);
        return;
    }
    ggml_tensor * outer = ggml_mul_mat(ctx(), ggml_cont(ctx(), ggml_transpose(ctx(), wide.data)), ggml_cont(ctx(), ggml_transpose(ctx(), low)));
    expand(ggml_add_inplace(ctx(), sum, outer), Kind::low_rank);
}

ggml_tensor * Ops::dropout_mask(const ggml_tensor * x, uint64_t stream) {
    for (const DropoutMask & mask : dropout_masks)
        if (mask.stream == stream) return mask.tensor;
    dropout_masks.push_back({ input(GGML_TYPE_F32, x->ne[0], x->ne[1]), stream });
    return dropout_masks.back().tensor;
}

ggml_tensor * Ops::drop(ggml_tensor * x, uint64_t stream) {
    if (dropout == 0) return x;
    if (plain()) return ggml_mul(ctx(), x, dropout_mask(x, stream));
    Args args;
    args.seed = dropout_seed, args.stream = stream, args.p = dropout;
    return custom(x->ne[0], x->ne[1], 1, { x }, run_drop, args);
}

ggml_tensor * Ops::linear(const Matrix & w, const Input & x, size_t i, ggml_tensor * init) {
    const LoraTensor * lora = lora_.find(w.w);
    return expand(product(x.x, w, true, init, x.low[i], lora ? lora->bt : nullptr), Kind::product);
}

ggml_tensor * Ops::linear_back(const Matrix & w, const Input & dy, const Rows & dropped, ggml_tensor * low, ggml_tensor * init, uint64_t stream, bool need_dx) {
    const LoraTensor * lora = lora_.find(w.w);
    ggml_tensor *      v    = dy.low[0];
    if (lora) {
        accumulate_outer(lora->dbt, low, dy.x);
        accumulate_outer(lora->da, v, dropped);
    }
    if (!need_dx) return init;
    if (!lora || dropout == 0) return expand(product(dy.x, w, false, init, v, lora ? lora->a : nullptr), Kind::product);
    ggml_tensor * through = drop(across(v, lora->a), stream);
    return expand(product(dy.x, w, false, init ? ggml_add(ctx(), init, through) : through, nullptr, nullptr), Kind::product);
}

ggml_tensor * Ops::norm_back(ggml_tensor * dh, ggml_tensor * x, ggml_tensor * g, ggml_tensor * add, float eps) {
    if (!plain()) {
        std::vector<ggml_tensor *> sources = { dh, x, g };
        if (add) sources.push_back(add);
        Args args;
        args.eps = eps, args.has_init = add;
        return expand(custom(x->ne[0], x->ne[1], 1, sources, run_norm_back, args), Kind::elementwise);
    }
    const float   inverse = 1.0f / (float) x->ne[0];
    ggml_tensor * z       = ggml_mul(ctx(), dh, g);
    ggml_tensor * mean    = ggml_scale_bias(ctx(), ggml_sum_rows(ctx(), ggml_sqr(ctx(), x)), inverse, eps);
    ggml_tensor * root    = ggml_sqrt(ctx(), mean);
    ggml_tensor * pull    = ggml_div(ctx(), ggml_scale(ctx(), ggml_sum_rows(ctx(), ggml_mul(ctx(), z, x)), inverse), mean);
    ggml_tensor * dx      = ggml_div(ctx(), ggml_sub(ctx(), z, ggml_mul(ctx(), x, pull)), root);
    return expand(add ? ggml_add(ctx(), dx, add) : dx, Kind::elementwise);
}

Ops::Head Ops::cross_entropy(ggml_tensor * logits, ggml_tensor * targets) {
    const int64_t n = logits->ne[1];
    if (!plain()) {
        ggml_tensor * loss = input(GGML_TYPE_F32, n);
        return { loss, expand(custom_inplace(logits, { targets, loss }, run_cross_entropy, {}), Kind::head) };
    }
    return cross_entropy_plain(logits, ggml_reshape_2d(ctx(), targets, 1, n));
}

// logsumexp is taken from the most probable token, whose probability cannot underflow. Indices are [n, 1], one per row.
Ops::Head Ops::cross_entropy_plain(ggml_tensor * logits, ggml_tensor * targets) {
    const int64_t n_vocab = logits->ne[0], n = logits->ne[1];
    const auto    column   = [&](ggml_tensor * x) { return ggml_reshape_3d(ctx(), x, 1, n_vocab, n); };
    ggml_tensor * likely   = ggml_reshape_2d(ctx(), ggml_argmax(ctx(), logits), 1, n);
    ggml_tensor * l_likely = expand(ggml_get_rows(ctx(), column(logits), likely), Kind::head);
    ggml_tensor * l_target = expand(ggml_get_rows(ctx(), column(logits), targets), Kind::head);
    ggml_tensor * p        = column(ggml_soft_max(ctx(), logits));
    ggml_tensor * loss     = ggml_sub(ctx(), l_likely, ggml_log(ctx(), ggml_get_rows(ctx(), p, likely)));
    loss                   = expand(ggml_sub(ctx(), loss, l_target), Kind::head);
    ggml_set_output(loss);
    ggml_tensor * less_one = expand(ggml_scale_bias(ctx(), ggml_get_rows(ctx(), p, targets), 1.0f, -1.0f), Kind::head);
    return { loss, expand(ggml_reshape_2d(ctx(), ggml_set_rows(ctx(), p, less_one, targets), n_vocab, n), Kind::head) };
}

ggml_tensor * Ops::attention(const Qkv & x, const Hparams & h) {
    if (plain()) return attention_plain(x, h);
    Args args;
    args.n_head = h.n_head, args.n_head_kv = h.n_head_kv, args.n_embd_head = h.n_embd_head;
    const int64_t width = x.q->ne[0], n = x.q->ne[1];
    ggml_tensor * all = expand(custom((width + h.n_head) * n, 1, 1, { x.q, x.k, x.v }, run_attention, args), Kind::attention); // o, then logsumexp
    return expand(ggml_view_2d(ctx(), all, width, n, width * sizeof(float), 0), Kind::attention);
}

Ops::Qkv Ops::attention_back(ggml_tensor * d_o, ggml_tensor * o, const Qkv & x, const Hparams & h) {
    if (plain()) return attention_back_plain(d_o, x, h);
    Args args;
    args.n_head = h.n_head, args.n_head_kv = h.n_head_kv, args.n_embd_head = h.n_embd_head;
    const int64_t nq = x.q->ne[0], nkv = x.k->ne[0], n = x.q->ne[1];
    ggml_tensor * all  = expand(custom((nq + 2 * nkv) * n, 1, 1, { x.q, x.k, x.v, d_o, o }, run_attention_back, args), Kind::attention);
    const auto    view = [&](int64_t width, int64_t at) { return ggml_view_2d(ctx(), all, width, n, width * sizeof(float), at * n * sizeof(float)); };
    return { view(nq, 0), view(nkv, nq), view(nkv, nq + nkv) };
}

} // namespace localft
