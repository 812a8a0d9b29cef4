// The adapter's factors, gradients and moments on the device.
#pragma once

#include "model/model.h"

#include <unordered_map>

namespace localft {

// One adapted matrix. Both factors are stored as rank rows: a is ne [n_in, rank], bt (B transposed) is ne [n_out, rank].
// The gradients have the same shapes and hold sums; the Adam moments live on the host.
struct LoraTensor {
    std::string        name;
    int64_t            n_in = 0, n_out = 0;
    ggml_tensor *      a = nullptr, *bt = nullptr, *da = nullptr, *dbt = nullptr;
    std::vector<float> a_m, a_v, bt_m, bt_v;
};

class Lora {
public:
    // Throws where a target is unknown or named twice, or the rank is out of range.
    Lora(Model & model, const std::vector<std::string> & targets, int32_t rank);

    const LoraTensor *        find(const Matrix & w) const; // null where it carries no LoRA
    bool                      on(const Matrix & w) const { return find(w) != nullptr; }
    LoraTensor &              at(const std::string & name);
    std::vector<LoraTensor> & all() { return tensors_; }
    int64_t                   lowest_layer() const { return lowest_layer_; } // n_layer where only the head carries LoRA
    int32_t                   rank() const { return rank_; }
    void                      clear_gradients();

private:
    int32_t                                          rank_;
    int64_t                                          lowest_layer_;
    std::vector<LoraTensor>                          tensors_;
    std::unordered_map<const ggml_tensor *, int64_t> by_matrix_;
    ggml_context_ptr                                 ctx_;
    ggml_backend_buffer_ptr                          buffer_;
};

} // namespace localft
