#include "trainer/profile.h"

#include <chrono>

namespace localft {

namespace {

const char * kind_name(Kind kind) {
    switch (kind) {
        case Kind::product: return "product";
        case Kind::attention: return "attention";
        case Kind::elementwise: return "elementwise";
        case Kind::low_rank: return "low-rank";
        case Kind::head: return "head";
    }
    return "";
}

} // namespace

// Consecutive nodes of one kind run as one graph, so that ggml may fuse what it would fuse in the whole.
ggml_status compute_by_kind(ggml_backend_t backend, const Ops & ops, std::map<std::string, Trainer::Spent> & spent) {
    const int        n      = ggml_graph_n_nodes(ops.graph());
    ggml_init_params params = { ggml_graph_overhead_custom(n, false), nullptr, true };
    ggml_context_ptr ctx(ggml_init(params));
    ggml_cgraph *    part = ggml_new_graph_custom(ctx.get(), n, false);
    for (int first = 0, last; first < n; first = last) {
        ggml_graph_clear(part);
        for (last = first; last < n && ops.kinds[last] == ops.kinds[first]; last++) ggml_graph_add_node(part, ggml_graph_node(ops.graph(), last));
        const auto        start  = std::chrono::steady_clock::now();
        const ggml_status status = ggml_backend_graph_compute(backend, part);
        Trainer::Spent &  kind   = spent[kind_name(ops.kinds[first])];
        kind.n_node += last - first;
        kind.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        if (status != GGML_STATUS_SUCCESS) return status;
    }
    return GGML_STATUS_SUCCESS;
}

} // namespace localft
