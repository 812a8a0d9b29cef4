#include "ops/ops.h"

namespace localft {

Ops::Ops(const Lora & lora, const kernels::Table * table, bool int16, size_t max_nodes) : lora_(lora), table_(table), int16_(int16) {
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

ggml_tensor * Ops::custom(int64_t ne0, int64_t ne1, std::vector<ggml_tensor *> sources, ggml_custom_op_t f, Args args) {
    args.table      = table_;
    args.row_starts = &row_starts;
    args_.push_back(args);
    return ggml_custom_4d(ctx(), GGML_TYPE_F32, ne0, ne1, 1, 1, sources.data(), (int) sources.size(), f, GGML_N_TASKS_MAX, &args_.back());
}

ggml_tensor * Ops::custom_inplace(ggml_tensor * t, std::vector<ggml_tensor *> sources, ggml_custom_op_t f, Args args) {
    args.table = table_;
    args_.push_back(args);
    return ggml_custom_inplace(ctx(), t, sources.data(), (int) sources.size(), f, GGML_N_TASKS_MAX, &args_.back());
}

// Concatenate along tokens, pairwise, so that the copies stay few.
ggml_tensor * Ops::join(std::vector<ggml_tensor *> pieces) {
    while (pieces.size() > 1) {
        std::vector<ggml_tensor *> fewer;
        for (size_t i = 0; i + 1 < pieces.size(); i += 2) fewer.push_back(ggml_concat(ctx(), pieces[i], pieces[i + 1], 1));
        if (pieces.size() % 2) fewer.push_back(pieces.back());
        pieces = std::move(fewer);
    }
    return expand(pieces[0], Kind::attention);
}

} // namespace localft
