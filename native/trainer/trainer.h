// What a Trainer is made of: passes.cpp builds, allocates and runs the graphs of a micro-batch and decides what they keep;
// trainer.cpp is the public interface and the optimizer step.
#pragma once

#include "graph/graph.h"

#include <map>

namespace localft {

[[noreturn]] inline void fail(const std::string & op, const std::string & text) {
    throw std::runtime_error("[" + op + "] " + text);
}

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
    void         check_supported(const StepGraph & g) const;
    void         run(const StepGraph & g, const Batch & batch, const std::vector<int32_t> & supervised);
    double       read_loss(const StepGraph & g) const;
    MicroResult  pass(Pass pass, const Batch & batch, int64_t micro_step);
    MicroResult  pass_part(Pass pass, const Batch & batch, GraphOptions options);
    double       grad_norm(float inverse);

    // Calls f(part, its first row) for the parts of a micro-batch that one graph can take.
    template <typename F>
    void for_parts(const Batch & b, F f) const {
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

bool        is_view(const ggml_tensor * t);
std::string describe(const ggml_tensor * t); // "OP type(,type…) -> type"

} // namespace localft
