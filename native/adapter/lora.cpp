#include "adapter/lora.h"

#include <algorithm>
#include <cmath>

namespace localft {

namespace {

[[noreturn]] void fail(const std::string & text) {
    throw std::runtime_error("[lora] " + text);
}

int64_t layer_of(const std::string & name, int64_t n_layer) {
    return name.rfind("blk.", 0) == 0 ? std::stoll(name.substr(4)) : n_layer;
}

} // namespace

Lora::Lora(Model & model, const std::vector<std::string> & targets, int32_t rank) : rank_(rank), lowest_layer_(model.hparams().n_layer) {
    if (targets.empty()) fail("no target tensor is named");
    const std::vector<Model::Target> known  = model.targets();
    ggml_init_params                 params = { ggml_tensor_overhead() * (4 * targets.size() + 1), nullptr, true };
    ctx_.reset(ggml_init(params));
    for (const std::string & name : targets) {
        const auto found = std::find_if(known.begin(), known.end(), [&](const Model::Target & t) { return t.name == name; });
        if (found == known.end()) {
            if (name == "output.weight" && model.hparams().tied_output)
                fail("\"output.weight\" is tied to the embeddings of this model: no runtime could load its adapter");
            fail("\"" + name + "\" is not a matrix that can carry LoRA");
        }
        if (rank < 1 || rank > std::min(found->n_in, found->n_out)) fail("rank " + std::to_string(rank) + " does not fit \"" + name + "\"");
        LoraTensor t;
        t.name = name, t.n_in = found->n_in, t.n_out = found->n_out;
        t.a   = ggml_new_tensor_2d(ctx_.get(), GGML_TYPE_F32, t.n_in, rank);
        t.bt  = ggml_new_tensor_2d(ctx_.get(), GGML_TYPE_F32, t.n_out, rank);
        t.da  = ggml_dup_tensor(ctx_.get(), t.a);
        t.dbt = ggml_dup_tensor(ctx_.get(), t.bt);
        if (!by_matrix_.emplace(model.impl().find(name), (int64_t) tensors_.size()).second) fail("\"" + name + "\" is named twice");
        lowest_layer_ = std::min(lowest_layer_, layer_of(name, model.hparams().n_layer));
        tensors_.push_back(std::move(t));
    }
    buffer_.reset(ggml_backend_alloc_ctx_tensors(ctx_.get(), model.impl().backend.get()));
    if (!buffer_) fail("not enough memory for the adapter");
    ggml_backend_buffer_clear(buffer_.get(), 0);
    for (LoraTensor & t : tensors_) {
        t.a_m.resize(t.n_in * rank), t.a_v.resize(t.n_in * rank);
        t.bt_m.resize(t.n_out * rank), t.bt_v.resize(t.n_out * rank);
    }
}

LoraTensor * Lora::find(const ggml_tensor * w) {
    const auto i = by_matrix_.find(w);
    return i == by_matrix_.end() ? nullptr : &tensors_[i->second];
}

LoraTensor & Lora::at(const std::string & name) {
    for (LoraTensor & t : tensors_)
        if (t.name == name) return t;
    fail("\"" + name + "\" carries no LoRA");
}

void Lora::clear_gradients() {
    for (LoraTensor & t : tensors_) {
        ggml_backend_tensor_memset(t.da, 0, 0, ggml_nbytes(t.da));
        ggml_backend_tensor_memset(t.dbt, 0, 0, ggml_nbytes(t.dbt));
    }
}

size_t Lora::bytes() const {
    return ggml_backend_buffer_get_size(buffer_.get());
}

std::vector<float> transposed(const std::vector<float> & x, int64_t rows, int64_t cols) {
    std::vector<float> y(x.size());
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++) y[j * rows + i] = x[i * cols + j];
    return y;
}

std::vector<float> download(const ggml_tensor * t) {
    std::vector<float> values(ggml_nelements(t));
    ggml_backend_tensor_get(t, values.data(), 0, ggml_nbytes(t));
    return values;
}

template <typename T>
static void upload_values(ggml_tensor * t, const std::vector<T> & values) {
    if ((int64_t) values.size() != ggml_nelements(t))
        fail("a tensor takes " + std::to_string(ggml_nelements(t)) + " values, not " + std::to_string(values.size()));
    ggml_backend_tensor_set(t, values.data(), 0, ggml_nbytes(t));
}

void upload(ggml_tensor * t, const std::vector<float> & values) {
    upload_values(t, values);
}

void upload(ggml_tensor * t, const std::vector<int32_t> & values) {
    upload_values(t, values);
}

void adamw(float * p, const float * g, float * m, float * v, int64_t n, int64_t step, float scale, const AdamOptions & o) {
    const double correction1 = 1.0 - std::pow((double) o.beta1, (double) step);
    const double correction2 = 1.0 - std::pow((double) o.beta2, (double) step);
    const float  size        = (float) (o.lr / correction1);
    const float  root        = (float) std::sqrt(correction2);
    const float  decay       = 1.0f - o.lr * o.weight_decay;
    for (int64_t i = 0; i < n; i++) {
        const float gi = g[i] * scale;
        m[i] += (1.0f - o.beta1) * (gi - m[i]);
        v[i] = o.beta2 * v[i] + (1.0f - o.beta2) * gi * gi;
        p[i] = p[i] * decay - size * m[i] / (std::sqrt(v[i]) / root + o.eps);
    }
}

} // namespace localft
