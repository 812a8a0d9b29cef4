// The transposed copy of every matrix that the plain ops read on the way back.
#include "error.h"
#include "model/model.h"
#include "model/transfer.h"

namespace localft {

namespace {

void transpose_into(const ggml_tensor * from, ggml_tensor * to) {
    const int64_t        n_in = from->ne[0], n_out = from->ne[1];
    std::vector<float>   row(n_in), whole((size_t) n_in * n_out);
    std::vector<uint8_t> raw(ggml_nbytes(from));
    ggml_backend_tensor_get(from, raw.data(), 0, raw.size());
    for (int64_t j = 0; j < n_out; j++) {
        row_to_float(from, raw.data() + j * from->nb[1], row.data());
        for (int64_t i = 0; i < n_in; i++) whole[i * n_out + j] = row[i];
    }
    if (to->type == GGML_TYPE_F32) {
        ggml_backend_tensor_set(to, whole.data(), 0, ggml_nbytes(to));
        return;
    }
    std::vector<ggml_fp16_t> half(whole.size());
    ggml_fp32_to_fp16_row(whole.data(), half.data(), (int64_t) whole.size());
    ggml_backend_tensor_set(to, half.data(), 0, ggml_nbytes(to));
}

} // namespace

void Model::Impl::make_transposed() {
    if (transposed_buffer) return;
    std::vector<Matrix *> all = { &output };
    for (Layer & layer : layers)
        for (Matrix * w : matrices(layer)) all.push_back(w);
    ggml_init_params params = { ggml_tensor_overhead() * (all.size() + 1), nullptr, true };
    transposed_ctx.reset(ggml_init(params));
    for (Matrix * w : all) {
        const ggml_type type = w->w->type == GGML_TYPE_F32 ? GGML_TYPE_F32 : GGML_TYPE_F16;
        w->wt                = ggml_new_tensor_2d(transposed_ctx.get(), type, w->w->ne[1], w->w->ne[0]);
    }
    transposed_buffer.reset(ggml_backend_alloc_ctx_tensors(transposed_ctx.get(), backend.get()));
    if (!transposed_buffer) fail("load", "device \"" + device_name + "\" has not enough memory for the transposed weights");
    for (Matrix * w : all) transpose_into(w->w, w->wt);
}

} // namespace localft
