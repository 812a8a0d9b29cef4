#include "model/model.h"

#include "model/device.h"
#include "model/error.h"
#include "model/metadata.h"

#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace localft {

namespace {

void silence(ggml_log_level, const char *, void *) {
}

} // namespace

Mapping::Mapping(const std::string & path) {
    const int file = open(path.c_str(), O_RDONLY);
    if (file < 0) fail_to_load("cannot open \"" + path + "\": " + strerror(errno));
    struct stat info;
    if (fstat(file, &info) == 0 && info.st_size > 0) {
        size_ = (size_t) info.st_size;
        data_ = static_cast<char *>(mmap(nullptr, size_, PROT_READ, MAP_SHARED, file, 0));
    }
    close(file);
    if (!data_ || data_ == MAP_FAILED) fail_to_load("cannot map \"" + path + "\"");
}

Mapping::~Mapping() {
    munmap(data_, size_);
}

namespace {

using Impl = Model::Impl;

// Open, map, and bind every tensor's data to the mapping, checking that it lies inside the file.
void open_file(Impl & m) {
    ggml_context *   ctx    = nullptr;
    gguf_init_params params = { /*no_alloc*/ true, &ctx };
    m.gguf.reset(gguf_init_from_file(m.path.c_str(), params));
    m.file_ctx.reset(ctx);
    if (!m.gguf || !ctx) fail_to_load("\"" + m.path + "\" is not a readable GGUF file");
    if (gguf_get_alignment(m.gguf.get()) % 32) fail_to_load("general.alignment is no multiple of 32");
    m.file             = std::make_unique<Mapping>(m.path);
    const size_t start = gguf_get_data_offset(m.gguf.get());
    if (start > m.file->size()) fail_to_load("\"" + m.path + "\" is truncated");
    m.file_buffer.reset(ggml_backend_cpu_buffer_from_ptr(m.file->data(), m.file->size()));
    for (int64_t i = 0; i < gguf_get_n_tensors(m.gguf.get()); i++) {
        ggml_tensor * t  = ggml_get_tensor(ctx, gguf_get_tensor_name(m.gguf.get(), i));
        const size_t  at = start + gguf_get_tensor_offset(m.gguf.get(), i);
        if (at > m.file->size() || ggml_nbytes(t) > m.file->size() - at) fail_to_load("\"" + m.path + "\" is truncated");
        if (ggml_backend_tensor_alloc(m.file_buffer.get(), t, m.file->data() + at) != GGML_STATUS_SUCCESS) fail_to_load("cannot place a tensor");
    }
}

void upload(Impl & m) {
    const int64_t    n      = gguf_get_n_tensors(m.gguf.get());
    ggml_init_params params = { ggml_tensor_overhead() * (n + 8), nullptr, true };
    m.device_ctx.reset(ggml_init(params));
    for (ggml_tensor * t = ggml_get_first_tensor(m.file_ctx.get()); t; t = ggml_get_next_tensor(m.file_ctx.get(), t))
        ggml_set_name(ggml_dup_tensor(m.device_ctx.get(), t), t->name);
    m.device_buffer.reset(ggml_backend_alloc_ctx_tensors(m.device_ctx.get(), m.backend.get()));
    if (!m.device_buffer) fail_to_load("device \"" + m.device_name + "\" has not enough memory for the weights");
    for (ggml_tensor * t = ggml_get_first_tensor(m.file_ctx.get()); t; t = ggml_get_next_tensor(m.file_ctx.get(), t))
        ggml_backend_tensor_set(ggml_get_tensor(m.device_ctx.get(), t->name), t->data, 0, ggml_nbytes(t));
    ggml_backend_buffer_set_usage(m.device_buffer.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
}

// A tensor that the graph does not use would be left out of the computation without a word.
void refuse_unused(const Impl & m) {
    std::vector<const char *> in_layer = norm_names(*m.arch);
    for (const char * name : matrix_names(*m.arch)) in_layer.push_back(name);
    const int64_t used = 2 + (m.hparams.tied_output ? 0 : 1) + (m.rope_freqs ? 1 : 0) + m.hparams.n_layer * (int64_t) in_layer.size();
    if (gguf_get_n_tensors(m.gguf.get()) == used) return;
    for (ggml_tensor * t = ggml_get_first_tensor(m.file_ctx.get()); t; t = ggml_get_next_tensor(m.file_ctx.get(), t)) {
        const std::string name  = t->name;
        bool              known = name == "token_embd.weight" || name == "output.weight" || name == "output_norm.weight" || name == "rope_freqs.weight";
        for (int64_t il = 0; !known && il < m.hparams.n_layer; il++) {
            const std::string at = "blk." + std::to_string(il) + ".";
            for (const char * n : in_layer) known = known || name == at + n + ".weight";
        }
        if (!known) fail_to_load("tensor \"" + name + "\" is not one that the trainer's " + m.hparams.arch + " graph uses");
    }
}

void bind_tensors(Impl & m) {
    Hparams & h = m.hparams;
    m.embedding = ggml_get_tensor(m.file_ctx.get(), "token_embd.weight");
    if (!m.embedding) fail_to_load("tensor \"token_embd.weight\" is missing");
    h.n_vocab = m.embedding->ne[1];
    if (h.n_vocab < 1) fail_to_load("tensor \"token_embd.weight\" has an unexpected shape");
    m.require("token_embd.weight", { h.n_embd, h.n_vocab });
    h.tied_output = !m.find("output.weight");
    m.output_norm = m.require("output_norm.weight", { h.n_embd });
    m.output.w    = m.require(h.tied_output ? "token_embd.weight" : "output.weight", { h.n_embd, h.n_vocab });
    m.rope_freqs  = m.find("rope_freqs.weight");
    if (m.rope_freqs) m.require("rope_freqs.weight", { h.n_rot / 2 });
    for (int64_t il = 0; il < h.n_layer; il++) {
        const std::string at = "blk." + std::to_string(il) + ".";
        m.layers.push_back(bind_layer(*m.arch, h, [&](const char * name, std::vector<int64_t> ne) { return m.require(at + name + ".weight", std::move(ne)); }));
    }
    refuse_unused(m);
}

} // namespace

ggml_tensor * Model::Impl::find(const std::string & name) const {
    return ggml_get_tensor(device_ctx ? device_ctx.get() : file_ctx.get(), name.c_str());
}

ggml_tensor * Model::Impl::require(const std::string & name, std::vector<int64_t> ne) const {
    ggml_tensor * t = find(name);
    if (!t) fail_to_load("tensor \"" + name + "\" is missing");
    for (size_t i = 0; i < GGML_MAX_DIMS; i++)
        if (t->ne[i] != (i < ne.size() ? ne[i] : 1)) fail_to_load("tensor \"" + name + "\" has an unexpected shape");
    if (ne.size() == 1 && t->type != GGML_TYPE_F32) fail_to_load("tensor \"" + name + "\" is not f32");
    if (t->type != GGML_TYPE_F32 && !ggml_get_type_traits(t->type)->to_float)
        fail_to_load("tensor \"" + name + "\" is of type " + ggml_type_name(t->type) + ", which cannot be trained on");
    return t;
}

Model::Model(const std::string & path, const std::string & device) : impl_(std::make_unique<Impl>()) {
    ggml_log_set(silence, nullptr);
    Impl &             m   = *impl_;
    ggml_backend_dev_t dev = find_device(device);
    m.path                 = path;
    m.device_name          = ggml_backend_dev_name(dev);
    m.is_cpu               = ggml_backend_dev_type(dev) == GGML_BACKEND_DEVICE_TYPE_CPU;
    open_file(m);
    const Metadata meta(m.gguf.get());
    m.arch    = &find_architecture(meta.text("general.architecture"));
    m.hparams = read_hparams(meta, m.arch->name);
    m.backend.reset(ggml_backend_dev_init(dev, nullptr));
    if (!m.backend) fail_to_load("device \"" + m.device_name + "\" does not start");
    if (!m.is_cpu) upload(m);
    bind_tensors(m);
}

Model::~Model() = default;

const Hparams & Model::hparams() const {
    return impl_->hparams;
}

const std::string & Model::device() const {
    return impl_->device_name;
}

size_t Model::device_bytes() const {
    const Impl & m = *impl_;
    size_t       n = m.is_cpu ? 0 : ggml_backend_buffer_get_size(m.device_buffer.get());
    if (m.transposed_buffer) n += ggml_backend_buffer_get_size(m.transposed_buffer.get());
    return n;
}

std::vector<Model::Target> Model::targets() const {
    std::vector<Target> all;
    const auto          add = [&](const std::string & name) {
        const ggml_tensor * t = impl_->find(name);
        all.push_back({ name, t->ne[0], t->ne[1] });
    };
    for (int64_t il = 0; il < impl_->hparams.n_layer; il++)
        for (const char * n : matrix_names(*impl_->arch)) add("blk." + std::to_string(il) + "." + n + ".weight");
    if (!impl_->hparams.tied_output) add("output.weight");
    return all;
}

std::vector<Model::TensorInfo> Model::tensors() const {
    std::vector<TensorInfo> all;
    for (ggml_tensor * t = ggml_get_first_tensor(impl_->file_ctx.get()); t; t = ggml_get_next_tensor(impl_->file_ctx.get(), t)) {
        TensorInfo info{ t->name, ggml_type_name(t->type), {} };
        for (int i = ggml_n_dims(t) - 1; i >= 0; i--) info.shape.push_back(t->ne[i]);
        all.push_back(info);
    }
    return all;
}

} // namespace localft
