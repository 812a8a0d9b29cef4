// The backward pass of the norm; forwards it is made with the rows that it gives (rows.cpp).
#include "ops/ops.h"

namespace localft {

namespace {

void run_norm_back(ggml_tensor * dst, int, int nth, void * data) {
    Args &        args = args_of(data);
    const int64_t n    = dst->ne[0];
    const float * add  = args.has_init ? floats(dst->src[3]) : nullptr;
    each_row(args, dst->ne[1], nth, [&](int64_t i) {
        const float *dh = floats(dst->src[0]) + i * n, *x = floats(dst->src[1]) + i * n;
        args.table->rms_norm_back(dh, x, floats(dst->src[2]), add ? add + i * n : nullptr, floats(dst) + i * n, n, args.eps);
    });
}

} // namespace

ggml_tensor * Ops::norm_back(ggml_tensor * dh, ggml_tensor * x, ggml_tensor * g, ggml_tensor * add, float eps) {
    if (!plain()) {
        std::vector<ggml_tensor *> sources = { dh, x, g };
        if (add) sources.push_back(add);
        Args args;
        args.eps = eps, args.has_init = add;
        return expand(custom(x->ne[0], x->ne[1], sources, run_norm_back, args), Kind::elementwise);
    }
    const float   inverse = 1.0f / (float) x->ne[0];
    ggml_tensor * z       = ggml_mul(ctx(), dh, g);
    ggml_tensor * mean    = ggml_scale_bias(ctx(), ggml_sum_rows(ctx(), ggml_sqr(ctx(), x)), inverse, eps);
    ggml_tensor * root    = ggml_sqrt(ctx(), mean);
    ggml_tensor * pull    = ggml_div(ctx(), ggml_scale(ctx(), ggml_sum_rows(ctx(), ggml_mul(ctx(), z, x)), inverse), mean);
    ggml_tensor * dx      = ggml_div(ctx(), ggml_sub(ctx(), z, ggml_mul(ctx(), x, pull)), root);
    return expand(add ? ggml_add(ctx(), dx, add) : dx, Kind::elementwise);
}

} // namespace localft
