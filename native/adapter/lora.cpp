#include "adapter/lora.h"

#include "error.h"

#include <algorithm>

namespace localft {

namespace {

constexpr int32_t MAX_RANK = 1 << 16; // above it sizes of what depends on it would leave their types

int64_t layer_of(const std::string & name, int64_t n_layer) {
    return name.rfind("blk.", 0) == 0 ? std::stoll(name.substr(4)) : n_layer;
}

} // namespace

Lora::Lora(Model & model, const std::vector<std::string> & targets, int32_t rank) : rank_(rank), lowest_layer_(model.hparams().n_layer) {
    if (targets.empty()) fail("lora", "no target tensor is named");
    const std::vector<Model::Target> known  = model.targets();
    ggml_init_params                 params = { ggml_tensor_overhead() * (4 * targets.size() + 1), nullptr, true };
    ctx_.reset(ggml_init(params));
    for (const std::string & name : targets) {
        const auto found = std::find_if(known.begin(), known.end(), [&](const Model::Target & t) { return t.name == name; });
        if (found == known.end()) {
            if (name == "output.weight" && model.hparams().tied_output)
                fail("lora", "\"output.weight\" is tied to the embeddings of this model: no runtime could load its adapter");
            fail("lora", "\"" + name + "\" is not a matrix that can carry LoRA");
        }
        if (rank < 1 || rank > MAX_RANK) fail("lora", "rank " + std::to_string(rank) + " does not fit: it is from 1 to " + std::to_string(MAX_RANK));
        LoraTensor t;
        t.name = name, t.n_in = found->n_in, t.n_out = found->n_out;
        t.a   = ggml_new_tensor_2d(ctx_.get(), GGML_TYPE_F32, t.n_in, rank);
        t.bt  = ggml_new_tensor_2d(ctx_.get(), GGML_TYPE_F32, t.n_out, rank);
        t.da  = ggml_dup_tensor(ctx_.get(), t.a);
        t.dbt = ggml_dup_tensor(ctx_.get(), t.bt);
        if (!by_matrix_.emplace(model.impl().find(name), (int64_t) tensors_.size()).second) fail("lora", "\"" + name + "\" is named twice");
        lowest_layer_ = std::min(lowest_layer_, layer_of(name, model.hparams().n_layer));
        tensors_.push_back(std::move(t));
    }
    buffer_.reset(ggml_backend_alloc_ctx_tensors(ctx_.get(), model.impl().backend.get()));
    if (!buffer_) fail("lora", "not enough memory for the adapter");
    ggml_backend_buffer_clear(buffer_.get(), 0);
    for (LoraTensor & t : tensors_) {
        t.a_m.resize(t.n_in * rank), t.a_v.resize(t.n_in * rank);
        t.bt_m.resize(t.n_out * rank), t.bt_v.resize(t.n_out * rank);
    }
}

const LoraTensor * Lora::find(const Matrix & w) const {
    const auto i = by_matrix_.find(w.w);
    return i == by_matrix_.end() ? nullptr : &tensors_[i->second];
}

LoraTensor & Lora::at(const std::string & name) {
    for (LoraTensor & t : tensors_)
        if (t.name == name) return t;
    fail("lora", "\"" + name + "\" carries no LoRA");
}

void Lora::clear_gradients() {
    for (LoraTensor & t : tensors_) {
        ggml_backend_tensor_memset(t.da, 0, 0, ggml_nbytes(t.da));
        ggml_backend_tensor_memset(t.dbt, 0, 0, ggml_nbytes(t.dbt));
    }
}

} // namespace localft
