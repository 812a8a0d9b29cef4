// The loss of a row of logits and its gradient, in one visit.
#include "ops/ops.h"

namespace localft {

namespace {

// dst is logits in place; src: logits, targets, loss
void run_cross_entropy(ggml_tensor * dst, int, int nth, void * data) {
    Args &          args    = args_of(data);
    const int32_t * targets = static_cast<const int32_t *>(dst->src[1]->data);
    float *         loss    = floats(dst->src[2]);
    each_row(args, dst->ne[1], nth, [&](int64_t i) { loss[i] = args.table->cross_entropy(floats(dst) + i * dst->ne[0], dst->ne[0], targets[i]); });
}

} // namespace

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

} // namespace localft
