// Values of tensors, to and from the host.
#pragma once

#include <ggml.h>

#include <vector>

namespace localft {

// Row-major [rows][cols] to [cols][rows].
std::vector<float> transposed(const std::vector<float> & x, int64_t rows, int64_t cols);
std::vector<float> download(const ggml_tensor * t);
void               upload(ggml_tensor * t, const std::vector<float> & values);
void               upload(ggml_tensor * t, const std::vector<int32_t> & values);

// One row of a tensor of any type, which lies at `row` on the host, as floats: out [ne0].
void row_to_float(const ggml_tensor * t, const void * row, float * out);

} // namespace localft
