#include "kernels.h"

namespace localft::kernels {

const Table * find(const std::string & name) {
#if defined(__x86_64__)
    const bool avx512 =
        __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (avx512 && __builtin_cpu_supports("avx512vnni") && (name == "auto" || name == "avx512vnni")) return avx512vnni_table();
    if (avx512 && (name == "auto" || name == "avx512")) return avx512_table();
    if (avx2 && (name == "auto" || name == "avx2")) return avx2_table();
#endif
    return name == "auto" || name == "generic" ? generic_table() : nullptr;
}

} // namespace localft::kernels
