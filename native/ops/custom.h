// What the functions of custom ops are given, and how they read it.
#pragma once

#include "kernels/kernels.h"

#include <ggml.h>

#include <algorithm>
#include <vector>

namespace localft {

// What a custom op needs besides its tensors.
struct Args {
    const kernels::Table *       table;
    bool                         stored_nk = false, has_init = false, has_tail = false;
    bool                         int16 = false; // what is read is in 16 bits
    float                        eps = 0, scale = 0;
    kernels::Rows::From          from   = kernels::Rows::From::given;
    kernels::Rows::As            as     = kernels::Rows::As::nothing;
    int64_t                      width  = 0;
    std::vector<int>             halves = {}; // of what is made, that each factor meets
    int64_t                      n_head = 0, n_head_kv = 0, n_embd_head = 0;
    const std::vector<int32_t> * row_starts = nullptr;
    uint64_t                     seed = 0, stream = 0;
    float                        p     = 0;
    kernels::Turns               turns = {};
};

inline Args & args_of(void * data) {
    return *static_cast<Args *>(data);
}

inline float * floats(const ggml_tensor * t) {
    return static_cast<float *>(t->data);
}

inline int64_t stride(const ggml_tensor * t) {
    return (int64_t) (t->nb[1] / sizeof(float));
}

// Calls run(i) for rows of n, a few at a turn.
template <typename Run>
void each_row(Args & args, int64_t n, int nth, Run run) {
    const int64_t rows = std::clamp<int64_t>(n / (4 * nth), 1, 16);
    for (int64_t first; (first = args.turns.take() * rows) < n;)
        for (int64_t i = first; i < std::min(first + rows, n); i++) run(i);
    args.turns.leave(nth);
}

} // namespace localft
