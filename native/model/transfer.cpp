#include "model/transfer.h"

#include "error.h"

#include <ggml-backend.h>

#include <cstring>

namespace localft {

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
        fail("tensor", "a tensor takes " + std::to_string(ggml_nelements(t)) + " values, not " + std::to_string(values.size()));
    ggml_backend_tensor_set(t, values.data(), 0, ggml_nbytes(t));
}

void upload(ggml_tensor * t, const std::vector<float> & values) {
    upload_values(t, values);
}

void upload(ggml_tensor * t, const std::vector<int32_t> & values) {
    upload_values(t, values);
}

void row_to_float(const ggml_tensor * t, const void * row, float * out) {
    if (t->type == GGML_TYPE_F32) memcpy(out, row, t->ne[0] * sizeof(float));
    else ggml_get_type_traits(t->type)->to_float(row, out, t->ne[0]);
}

} // namespace localft
