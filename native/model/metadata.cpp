#include "model/metadata.h"

#include "model/error.h"

#include <cmath>

namespace localft {

bool Metadata::has(const std::string & key) const {
    return gguf_find_key(gguf_, key.c_str()) >= 0;
}

int64_t Metadata::find(const std::string & key) const {
    const int64_t i = gguf_find_key(gguf_, key.c_str());
    if (i < 0) fail_to_load("metadata has no \"" + key + "\"");
    return i;
}

std::string Metadata::text(const std::string & key) const {
    const int64_t i = find(key);
    if (gguf_get_kv_type(gguf_, i) != GGUF_TYPE_STRING) fail_to_load("metadata \"" + key + "\" has an unexpected type");
    return gguf_get_val_str(gguf_, i);
}

double Metadata::number(const std::string & key) const {
    const int64_t i = find(key);
    switch (gguf_get_kv_type(gguf_, i)) {
        case GGUF_TYPE_UINT8: return gguf_get_val_u8(gguf_, i);
        case GGUF_TYPE_UINT16: return gguf_get_val_u16(gguf_, i);
        case GGUF_TYPE_UINT32: return gguf_get_val_u32(gguf_, i);
        case GGUF_TYPE_INT32: return gguf_get_val_i32(gguf_, i);
        case GGUF_TYPE_UINT64: return (double) gguf_get_val_u64(gguf_, i);
        case GGUF_TYPE_INT64: return (double) gguf_get_val_i64(gguf_, i);
        case GGUF_TYPE_FLOAT32: return gguf_get_val_f32(gguf_, i);
        case GGUF_TYPE_FLOAT64: return gguf_get_val_f64(gguf_, i);
        default: fail_to_load("metadata \"" + key + "\" is not a number");
    }
}

double Metadata::number(const std::string & key, double otherwise) const {
    return has(key) ? number(key) : otherwise;
}

int64_t Metadata::count(const std::string & key, int64_t most) const {
    const double value = number(key);
    if (!(value >= 1 && value <= (double) most) || value != std::floor(value)) fail_to_load("metadata \"" + key + "\" is out of range");
    return (int64_t) value;
}

namespace {

float rope_freq_scale(const Metadata & meta, const std::string & arch) {
    const std::string type = meta.has(arch + ".rope.scaling.type") ? meta.text(arch + ".rope.scaling.type") : "none";
    const double      f    = meta.number(arch + ".rope.scaling.factor", meta.number(arch + ".rope.scale_linear", 1.0));
    if (type == "none") return 1.0f;
    if (type != "linear") fail_to_load("RoPE scaling of type \"" + type + "\" cannot be trained yet");
    if (!(f > 0)) fail_to_load("metadata \"" + arch + ".rope.scaling.factor\" is out of range");
    return (float) (1.0 / f);
}

} // namespace

Hparams read_hparams(const Metadata & meta, const std::string & arch) {
    constexpr int64_t MANY = 1 << 24;
    Hparams           h;
    h.arch            = arch;
    h.n_embd          = meta.count(arch + ".embedding_length", MANY);
    h.n_layer         = meta.count(arch + ".block_count", 4096);
    h.n_head          = meta.count(arch + ".attention.head_count", 65536);
    h.n_head_kv       = meta.has(arch + ".attention.head_count_kv") ? meta.count(arch + ".attention.head_count_kv", 65536) : h.n_head;
    h.n_ff            = meta.count(arch + ".feed_forward_length", MANY);
    h.n_ctx_train     = meta.count(arch + ".context_length", INT32_MAX);
    h.n_embd_head     = meta.has(arch + ".attention.key_length") ? meta.count(arch + ".attention.key_length", 65536) : h.n_embd / h.n_head;
    h.n_rot           = meta.has(arch + ".rope.dimension_count") ? meta.count(arch + ".rope.dimension_count", 65536) : h.n_embd_head;
    h.rms_eps         = (float) meta.number(arch + ".attention.layer_norm_rms_epsilon");
    h.rope_freq_base  = (float) meta.number(arch + ".rope.freq_base", 10000.0);
    h.rope_freq_scale = rope_freq_scale(meta, arch);
    if (h.n_head % h.n_head_kv) fail_to_load("the number of heads is no multiple of the number of KV heads");
    if (h.n_embd_head < 1 || h.n_embd_head % 2 || h.n_rot != h.n_embd_head) fail_to_load("rotary dimensions differ from the head's width");
    if (!(h.rms_eps >= 0) || !(h.rope_freq_base > 0)) fail_to_load("a norm epsilon or RoPE base is out of range");
    if (meta.number(arch + ".expert_count", 0) > 0) fail_to_load("mixture-of-experts models cannot be trained yet");
    if (meta.number(arch + ".attention.value_length", h.n_embd_head) != h.n_embd_head) fail_to_load("keys and values differ in width");
    if (meta.number(arch + ".attention.scale", 0) != 0) fail_to_load("a custom attention scale cannot be trained yet");
    return h;
}

} // namespace localft
