#include "model/hparams.h"

#include "error.h"

namespace localft {

namespace {

float rope_freq_scale(const Metadata & meta, const std::string & arch) {
    const std::string type = meta.has(arch + ".rope.scaling.type") ? meta.text(arch + ".rope.scaling.type") : "none";
    const double      f    = meta.number(arch + ".rope.scaling.factor", meta.number(arch + ".rope.scale_linear", 1.0));
    if (type == "none") return 1.0f;
    if (type != "linear") fail("load", "RoPE scaling of type \"" + type + "\" cannot be trained yet");
    if (!(f > 0)) fail("load", "metadata \"" + arch + ".rope.scaling.factor\" is out of range");
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
    if (h.n_head % h.n_head_kv) fail("load", "the number of heads is no multiple of the number of KV heads");
    if (h.n_embd_head < 1 || h.n_embd_head % 2 || h.n_rot != h.n_embd_head) fail("load", "rotary dimensions differ from the head's width");
    if (!(h.rms_eps >= 0) || !(h.rope_freq_base > 0)) fail("load", "a norm epsilon or RoPE base is out of range");
    if (meta.number(arch + ".expert_count", 0) > 0) fail("load", "mixture-of-experts models cannot be trained yet");
    if (meta.number(arch + ".attention.value_length", h.n_embd_head) != h.n_embd_head) fail("load", "keys and values differ in width");
    if (meta.number(arch + ".attention.scale", 0) != 0) fail("load", "a custom attention scale cannot be trained yet");
    return h;
}

} // namespace localft
