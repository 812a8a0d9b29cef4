// What a Trainer is made of. passes.cpp decides what it computes with (kernels, arithmetic, what layers keep) and builds,
// allocates and runs the graphs of a micro-batch; trainer.cpp is the public interface and the optimizer step.
#pragma once

#include "error.h"
#include "graph/graph.h"

#include <algorithm>
#include <map>

namespace localft {

struct Trainer::Impl {
    // The plain ops take each row's attention apart, and ggml's allocator gives up at 256 free blocks.
    static constexpr int64_t MAX_PLAIN_ROWS = 64;

    Model &                model;
    Model::Impl &          m;
    TrainerOptions         options;
    const kernels::Table * table   = nullptr; // null: plain ops
    std::string            kernels = "plain", arithmetic = "f32";
    Lora                   lora;
    ggml_gallocr_ptr       allocator;
    std::function<bool()>  should_stop;
    int64_t                n_recompute = 0, n_supervised = 0;
    size_t                 compute_bytes = 0;

    std::map<std::string, Spent> * clock = nullptr; // where a profile goes while it is taken

    Impl(Model & model, const TrainerOptions & options);

    GraphOptions graph_options(int64_t micro_step) const;
    size_t       measure(int64_t n_recompute) const;
    void         choose_arithmetic();
    void         choose_recompute();
    void         check(const Batch & batch, const char * op) const;
    void         check_supported(const PassGraph & g) const;
    void         run(const PassGraph & g, const Batch & batch, const std::vector<int32_t> & supervised);
    double       read_loss(const PassGraph & g) const;
    MicroResult  pass(Pass pass, const Batch & batch, int64_t micro_step);
    MicroResult  pass_slice(Pass pass, const Batch & slice, const GraphOptions & how);
    double       grad_norm(float inverse);

    // Calls f(slice, its first row) for the slices of a micro-batch that one graph can take.
    template <typename F>
    void for_slices(const Batch & b, F f) const {
        const int64_t most = table ? b.n_row : MAX_PLAIN_ROWS;
        for (int64_t r = 0; r < b.n_row; r += most) {
            const int64_t        n     = std::min(most, b.n_row - r);
            const int32_t        start = b.row_starts[r];
            std::vector<int32_t> starts(b.row_starts + r, b.row_starts + r + n + 1);
            for (int32_t & s : starts) s -= start;
            f(Batch{ b.tokens + start, b.targets + start, b.loss_mask + start, starts.data(), starts.back(), n }, r);
        }
    }
};

} // namespace localft
