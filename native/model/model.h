// A loaded base model: hyperparameters, tensors where the device can use them, and the mapped file.
#pragma once

#include "localft.h"
#include "model/architecture.h"
#include "model/mapping.h"

#include <ggml-backend.h>
#include <ggml-cpp.h>
#include <ggml.h>
#include <gguf.h>

#include <set>

namespace localft {

struct Model::Impl {
    std::string              path, device_name;
    Hparams                  hparams;
    const Architecture *     arch = nullptr;
    std::unique_ptr<Mapping> file;
    gguf_context_ptr         gguf;
    ggml_context_ptr         file_ctx;   // tensors as the file has them; data points into the mapping
    ggml_context_ptr         device_ctx; // their copies on a device, where that is not the CPU
    ggml_context_ptr         transposed_ctx;
    ggml_backend_ptr         backend;
    ggml_backend_buffer_ptr  file_buffer;       // over the mapping
    ggml_backend_buffer_ptr  device_buffer;     // weights on a device other than the CPU
    ggml_backend_buffer_ptr  transposed_buffer; // for the plain ops
    bool                     is_cpu = true;
    std::vector<Layer>       layers;
    ggml_tensor *            output_norm = nullptr;
    ggml_tensor *            embedding   = nullptr; // in the mapping, read on the host
    Matrix                   output;

    std::set<std::string> used; // names of the tensors that graphs read

    ggml_tensor * find(const std::string & name) const;                               // where graphs use it; null if absent
    ggml_tensor * require(const std::string & name, const std::vector<int64_t> & ne); // the same, of this shape; counts as used
    void          make_transposed();                                                  // once, on the host; f32 for f32 weights, else f16
};

} // namespace localft
