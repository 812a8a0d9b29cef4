// Products with a base matrix and its LoRA, forwards and backwards.
#include "ops/ops.h"

#include <ggml-cpu.h>

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

} // namespace

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
    return custom(b.w->ne[stored_nk ? 1 : 0], x.data->ne[1], sources, run_product, args);
}

ggml_tensor * Ops::times(ggml_tensor * x, ggml_tensor * rows) {
    if (plain()) return ggml_scale(ctx(), ggml_mul_mat(ctx(), rows, x), lora_scale);
    if (rows->ne[1] <= kernels::THIN) return make_rows({ kernels::Rows::From::given, { x }, x->ne[0] }, kernels::Rows::As::nothing, { rows });
    Args args;
    args.stored_nk = true;
    return ggml_scale(ctx(), custom(rows->ne[1], x->ne[1], { x, rows }, run_product, args), lora_scale);
}

ggml_tensor * Ops::across(ggml_tensor * x, ggml_tensor * rows) {
    if (plain()) return ggml_mul_mat(ctx(), ggml_cont(ctx(), ggml_transpose(ctx(), rows)), x);
    return custom(rows->ne[0], x->ne[1], { x, rows }, run_product, {});
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

ggml_tensor * Ops::linear(const Matrix & w, const Input & x, size_t i, ggml_tensor * init) {
    const LoraTensor * lora = lora_.find(w);
    return expand(product(x.x, w, true, init, x.low[i], lora ? lora->bt : nullptr), Kind::product);
}

ggml_tensor * Ops::linear_back(const Matrix & w, const Input & dy, const Rows & after_dropout, ggml_tensor * low, ggml_tensor * init, uint64_t stream,
                               bool need_dx) {
    const LoraTensor * lora = lora_.find(w);
    ggml_tensor *      v    = dy.low[0];
    if (lora) {
        accumulate_outer(lora->dbt, low, dy.x);
        accumulate_outer(lora->da, v, after_dropout);
    }
    if (!need_dx) return init;
    if (!lora || dropout == 0) return expand(product(dy.x, w, false, init, v, lora ? lora->a : nullptr), Kind::product);
    ggml_tensor * through = drop(across(v, lora->a), stream);
    return expand(product(dy.x, w, false, init ? ggml_add(ctx(), init, through) : through, nullptr, nullptr), Kind::product);
}

ggml_tensor * Ops::linear_back(const Matrix & w, ggml_tensor * dy, const Rows & after_dropout, ggml_tensor * low, ggml_tensor * init, uint64_t stream,
                               bool need_dx) {
    if (!need_dx && !lora_.on(w)) return init;
    return linear_back(w, enter_back(dy, w), after_dropout, low, init, stream, need_dx);
}

} // namespace localft
